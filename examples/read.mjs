// Reads one line of text a picture with what `detector export` wrote. The contract that it follows: docs/export.md.
//   npm install --ignore-scripts   (in this folder; what the scripts would fetch is for GPUs)
//   node read.mjs plates.onnx 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ PICTURE...
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";

const [weights, alphabet, ...pictures] = process.argv.slice(2);
const symbols = [...alphabet]; // in class-id order
const session = await InferenceSession.create(weights);
const [, , height, width] = session.inputMetadata[0].shape;

async function letterbox(path) { // float32 (1, 3, height, width): RGB, 0 to 1, centred, the rest grey 114
  const size = { width, height, fit: "contain", background: { r: 114, g: 114, b: 114 }, kernel: "linear" };
  const picture = sharp(path).autoOrient().flatten({ background: "white" }).toColourspace("srgb");
  const pixels = await picture.resize(size).removeAlpha().raw().toBuffer();
  const blob = Float32Array.from({ length: pixels.length }, (_, i) => { // rows of pixels become planes of colours
    const colour = Math.floor(i / (height * width));
    return pixels[3 * (i % (height * width)) + colour] / 255;
  });
  return new Tensor("float32", blob, [1, 3, height, width]);
}

function overlap(a, b) { // IoU of boxes [x1, y1, x2, y2]
  const area = ([x1, y1, x2, y2]) => Math.max(0, x2 - x1) * Math.max(0, y2 - y1);
  const both = area([0, 1, 2, 3].map((side) => (side < 2 ? Math.max : Math.min)(a[side], b[side])));
  return both / (area(a) + area(b) - both);
}

function decode({ data, dims: [, columns, places] }) { // (1, 4 + classes, places): cx, cy, w, h, a score a class
  const seen = Array.from({ length: places }, (_, place) => {
    const [cx, cy, w, h, ...scores] = Array.from({ length: columns }, (_, row) => data[row * places + place]);
    const score = Math.max(...scores), box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2];
    return { cx, score, box, symbol: symbols[scores.indexOf(score)] };
  }).filter(({ score }) => score >= 0.25).sort((a, b) => b.score - a.score);
  const kept = []; // non-maximum suppression, whatever the class
  for (const one of seen) if (!kept.some(({ box }) => overlap(box, one.box) > 0.6)) kept.push(one);
  return kept.sort((a, b) => a.cx - b.cx).map(({ symbol }) => symbol).join("");
}

for (const path of pictures) {
  const { output0 } = await session.run({ images: await letterbox(path) });
  console.log(`${path}\t${decode(output0)}`);
}
