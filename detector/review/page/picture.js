// One picture as large as fits, with the boxes of its characters over it.

const SVG = "http://www.w3.org/2000/svg";
const PILL = { width: 17, height: 20 }; // pixels of the ground behind a symbol
const LARGEST = 8; // times its own size, before which a picture is not made larger to fit
const ZOOMS = [1, 2, 4];

function drawn(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

export class Picture {
  constructor(viewer, canvas, problem) {
    Object.assign(this, { viewer, canvas, problem, zoom: 1, boxes: true, address: "", detail: null });
    new ResizeObserver(() => this.draw()).observe(viewer);
  }

  show(address, detail) {
    Object.assign(this, { address, detail, zoom: 1 });
    this.draw();
    this.viewer.scrollTo(0, 0);
  }

  fail(message) {
    this.detail = null; // else a change of the window's size would draw the picture before
    this.canvas.replaceChildren();
    this.problem.textContent = message;
    this.problem.hidden = false;
  }

  toggleBoxes() {
    this.boxes = !this.boxes;
    this.draw();
    return this.boxes;
  }

  nextZoom() {
    this.zoom = ZOOMS[(ZOOMS.indexOf(this.zoom) + 1) % ZOOMS.length];
    this.draw();
    const area = this.viewer.getBoundingClientRect();
    const aim = this.canvas.querySelector("rect.differs") ?? this.canvas.querySelector("image");
    if (aim && this.zoom > 1) {
      const box = aim.getBoundingClientRect();
      this.viewer.scrollBy(box.x + box.width / 2 - area.x - area.width / 2, box.y + box.height / 2 - area.y - area.height / 2);
    }
    return this.zoom;
  }

  move(x, y) {
    this.viewer.scrollBy(x * this.viewer.clientWidth / 4, y * this.viewer.clientHeight / 4);
  }

  draw() {
    const detail = this.detail;
    if (!detail) return;
    this.problem.hidden = !detail.problem;
    this.problem.textContent = detail.problem;
    if (!detail.size_wh) {
      this.canvas.replaceChildren();
      return;
    }
    const [width, height] = detail.size_wh;
    const marks = this.boxes && detail.boxes.length ? PILL.height + 4 : 0;
    const around = parseFloat(getComputedStyle(this.canvas).paddingLeft) * 2;
    const fit = Math.min((this.viewer.clientWidth - around) / width, (this.viewer.clientHeight - around - marks) / height, LARGEST);
    const scale = Math.max(fit, 0.01) * this.zoom;
    const svg = drawn("svg", { width: width * scale, height: height * scale + marks, "aria-hidden": "true" });
    const ground = drawn("g", { transform: `translate(0 ${marks})` });
    const address = this.address;
    const image = drawn("image", { href: address, width: width * scale, height: height * scale, preserveAspectRatio: "none" });
    image.addEventListener("error", () => {
      if (address === this.address) this.fail("This picture cannot be shown.");
    });
    ground.append(image);
    if (this.boxes) ground.append(...this.marked(detail, scale));
    svg.append(ground);
    this.canvas.replaceChildren(svg);
  }

  *marked(detail, scale) {
    const symbols = detail[detail.shows === "reading" ? "read" : "text"].filter(([symbol]) => symbol !== detail.space);
    const agree = symbols.length === detail.boxes.length; // else it is not known which box is whose
    const boxes = detail.boxes.map(({ symbol, xyxy }, i) => {
      const [x1, y1, x2, y2] = xyxy.map(v => v * scale);
      const kind = agree && symbols[i][1] ? "differs" : i % 2 ? "odd" : "even";
      return { symbol, kind, x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    });
    for (const { x, y, width, height } of boxes) yield drawn("rect", { class: "halo", x, y, width, height });
    for (const { kind, x, y, width, height } of boxes) yield drawn("rect", { class: kind, x, y, width, height });
    for (const { symbol, kind, x, y, width } of boxes) {
      const middle = x + width / 2;
      yield drawn("rect", { class: `pill ${kind}`, x: middle - PILL.width / 2, y: y - PILL.height - 2, ...PILL, rx: 3 });
      const text = drawn("text", { class: "symbol", x: middle, y: y - 7 });
      text.textContent = symbol;
      yield text;
    }
  }
}
