// One picture large, with its boxes and what was read. Texts and names are only ever set as text.

const SVG = "http://www.w3.org/2000/svg";
const DOUBTFUL = 0.9; // boxes of characters below this are dashed

const part = (id) => document.getElementById(id);
let address = "";

/** Show a file and its reading. */
export async function show(file, name, reading) {
  part("result-name").textContent = name;
  const text = part("result-text");
  const shown = reading.text || reading.rejected_text || "";
  text.textContent = shown || (reading.error ? "Not a picture that can be read" : "Nothing was seen");
  text.classList.toggle("none", !shown);
  part("result-more").textContent = remark(reading) || `Confidence ${percent(reading.confidence)}`;
  part("copy").hidden = !shown;
  const characters = reading.characters ?? [];
  part("characters").hidden = !characters.length;
  part("characters").tBodies[0].replaceChildren(...characters.map(row));
  part("result").hidden = false;
  await draw(file, characters, shown);
}

/** The outcome in a sentence. */
export function saying(reading) {
  if (reading.error) return "Not a picture that can be read";
  return reading.text ? `Read ${reading.text}` : "No string that can be relied on";
}

/** What is to be said of a reading besides its text. */
export function remark(reading) {
  if (reading.error) return reading.error;
  if (reading.rejected) return `Rejected: ${reading.rejected}`;
  return reading.unconstrained_text ? `Without the pattern: ${reading.unconstrained_text}` : "";
}

/** 0.979 as 97.9 %. */
export function percent(share) {
  return share === undefined || share === null ? "" : `${(100 * share).toFixed(1)} %`;
}

function row(character, number) {
  const line = document.createElement("tr");
  for (const [text, kind] of [
    [character.symbol, "code"], [percent(character.confidence), "number"],
    [character.xyxy.map(Math.round).join(", "), "number"],
  ]) {
    const cell = document.createElement("td");
    cell.className = kind;
    cell.textContent = text;
    line.append(cell);
  }
  line.addEventListener("pointerenter", () => mark(number, true));
  line.addEventListener("pointerleave", () => mark(number, false));
  return line;
}

function mark(number, on) {
  part("frame").querySelectorAll("g")[number]?.classList.toggle("on", on);
  part("characters").tBodies[0].rows[number]?.classList.toggle("on", on);
}

async function draw(file, characters, text) {
  URL.revokeObjectURL(address);
  const own = URL.createObjectURL(file);
  address = own;
  const image = new Image();
  image.src = own;
  const isDecoded = await image.decode().then(() => true, () => false);
  if (own !== address) return; // another picture is shown by now
  if (!isDecoded) {
    const note = document.createElement("p");
    note.textContent = "This browser cannot show the picture.";
    part("frame").replaceChildren(note);
    return;
  }
  const svg = element("svg", { viewBox: `0 0 ${image.naturalWidth} ${image.naturalHeight}`, role: "img" });
  svg.setAttribute("aria-label", text ? `The picture; it reads ${[...text].join(" ")}` : "The picture");
  svg.append(element("image", { href: address, width: image.naturalWidth, height: image.naturalHeight }));
  characters.forEach((character, number) => {
    const [left, top, right, bottom] = character.xyxy;
    const place = { x: left, y: top, width: right - left, height: bottom - top };
    const group = element("g", {});
    const kind = character.confidence < DOUBTFUL ? "box doubtful" : "box";
    group.append(element("rect", { ...place, class: "halo" }), element("rect", { ...place, class: kind }));
    group.addEventListener("pointerenter", () => mark(number, true));
    group.addEventListener("pointerleave", () => mark(number, false));
    svg.append(group);
  });
  svg.classList.toggle("plain", !part("boxes").checked);
  part("frame").replaceChildren(svg);
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

part("boxes").addEventListener("change", () => {
  part("frame").querySelector("svg")?.classList.toggle("plain", !part("boxes").checked);
});
part("copy").addEventListener("click", async () => {
  const text = part("result-text").textContent;
  try {
    await navigator.clipboard.writeText(text);
    part("status").textContent = `Copied ${text}`;
  } catch { // not a secure address: the text is marked for Ctrl-C
    getSelection().selectAllChildren(part("result-text"));
    part("status").textContent = "Marked: copy it with Ctrl-C";
  }
});
