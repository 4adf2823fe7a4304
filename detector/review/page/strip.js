// All pictures side by side, of which only those in view are drawn.

import { thumbnail } from "./server.js";
import { SIGNS, verdict, visible } from "./texts.js";

const BESIDE = 4; // cells drawn on each side of those in view
const WIDEST = 30_000_000; // pixels that browsers lay out
const REST = 90; // milliseconds without scrolling before pictures are fetched

export class Strip {
  constructor(strip, belt, choose) {
    Object.assign(this, { strip, belt, choose, items: [], at: 0, cells: new Map(), frame: 0, timer: 0 });
    strip.addEventListener("scroll", () => this.later(), { passive: true });
    strip.addEventListener("wheel", event => {
      if (event.deltaX || event.ctrlKey) return;
      event.preventDefault();
      strip.scrollLeft += event.deltaY;
    }, { passive: false });
    belt.addEventListener("click", event => {
      const cell = event.target.closest("[data-at]");
      if (cell) this.choose(Number(cell.dataset.at));
    });
    new ResizeObserver(() => this.relay()).observe(strip);
  }

  show(items) {
    this.items = items;
    this.relay();
  }

  relay() {
    const probe = document.createElement("div");
    probe.className = "cell";
    this.belt.append(probe);
    this.pitch = Math.min(probe.offsetWidth + 8, WIDEST / Math.max(1, this.items.length));
    probe.remove();
    this.belt.style.width = `${this.items.length * this.pitch + 8}px`;
    this.clear();
    this.select(this.at);
  }

  clear() {
    for (const cell of this.cells.values()) cell.remove();
    this.cells.clear();
  }

  select(at) {
    this.at = at;
    const left = at * this.pitch - (this.strip.clientWidth - this.pitch) / 2;
    this.strip.scrollLeft = Math.max(0, left);
    this.draw();
    this.fetch();
  }

  update(at) {
    const cell = this.cells.get(at);
    if (cell) this.fill(cell, at);
  }

  later() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(), REST);
  }

  draw() {
    const first = Math.max(0, Math.floor(this.strip.scrollLeft / this.pitch) - BESIDE);
    const last = Math.min(this.items.length, Math.ceil((this.strip.scrollLeft + this.strip.clientWidth) / this.pitch) + BESIDE);
    for (const [at, cell] of this.cells) {
      if (at < first || at >= last) {
        cell.remove();
        this.cells.delete(at);
      }
    }
    for (let at = first; at < last; at += 1) {
      let cell = this.cells.get(at);
      if (!cell) {
        cell = this.made(at);
        this.cells.set(at, cell);
        this.belt.append(cell);
      }
      cell.setAttribute("aria-selected", String(at === this.at));
    }
    const selected = this.cells.get(this.at);
    if (selected) this.strip.setAttribute("aria-activedescendant", selected.id);
    else this.strip.removeAttribute("aria-activedescendant");
  }

  made(at) {
    const cell = document.createElement("div");
    cell.id = `cell-${at}`;
    cell.dataset.at = at;
    cell.setAttribute("role", "option");
    cell.setAttribute("aria-setsize", this.items.length);
    cell.setAttribute("aria-posinset", at + 1);
    cell.style.left = `${at * this.pitch + 8}px`;
    const image = document.createElement("img");
    image.alt = "";
    image.decoding = "async";
    image.className = "gone";
    image.addEventListener("load", () => image.classList.remove("gone"));
    const words = document.createElement("span");
    words.append(document.createElement("i"), document.createElement("b"));
    cell.append(image, words);
    this.fill(cell, at);
    return cell;
  }

  fill(cell, at) {
    const item = this.items[at];
    const [sign, label] = [cell.querySelector("i"), cell.querySelector("b")];
    const text = item.decision === "correct" ? item.corrected : item.typed;
    cell.className = `cell ${item.decision}`;
    sign.className = item.decision;
    sign.textContent = SIGNS[item.decision] ?? "";
    label.textContent = visible(text);
    cell.setAttribute("aria-label", `${text || "no label"}, ${verdict(item) || "not decided"}`);
  }

  fetch() {
    for (const [at, cell] of this.cells) {
      const image = cell.querySelector("img");
      if (this.items[at].has_picture && !image.hasAttribute("src")) image.src = thumbnail(this.items[at].key);
    }
  }
}
