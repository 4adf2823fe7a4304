// What comes after the decisions: the set is converted again, and what that changed is told.

import * as server from "./server.js";

const EVERY = 500; // milliseconds between questions while a conversion runs
const get = id => document.getElementById(id);
const pictures = count => `${count.toLocaleString("en")} ${count === 1 ? "picture" : "pictures"}`;

const CHANGES = [
  ["vouched", count => `${pictures(count)} no longer suspect`],
  ["corrected", count => `${pictures(count)} with another label`],
  ["left_out", count => `${pictures(count)} left out`],
  ["returned", count => `${pictures(count)} back in the set`],
  ["new_suspects", count => `${pictures(count)} newly suspect`],
];

function told(difference) {
  const lines = CHANGES.filter(([key]) => difference[key]).map(([key, say]) => say(difference[key]));
  const trained = `${pictures(difference.train)} to train on, ${difference.train_before.toLocaleString("en")} before`;
  const left = difference.to_review ? `${pictures(difference.to_review)} still to decide on` : "nothing left to decide on";
  return [...(lines.length ? lines : ["nothing else than before"]), trained, left];
}

export class Finish {
  // counts() gives how many are decided of how many; converted() reads the list anew.
  constructor(counts, converted) {
    Object.assign(this, { counts, converted, review: null, running: false });
    get("convert").addEventListener("click", () => this.convert());
    get("end-close").addEventListener("click", () => get("end").close());
  }

  open() {
    if (!get("end").open) get("end").showModal();
    if (!this.running) this.invite();
  }

  invite() {
    const { decided, all } = this.counts();
    const { convertible, unconvertible, decisions, next_step: next } = this.review;
    const possible = convertible && !unconvertible;
    this.say(
      `${decided.toLocaleString("en")} of ${pictures(all)} decided. Every decision is in ${decisions}.` +
      (possible ? " Converting again takes them up." : unconvertible ? ` ${unconvertible}` : ""),
    );
    this.next(possible ? "" : next);
    get("convert").hidden = !possible;
    (possible ? get("convert") : get("end-close")).focus();
  }

  say(text, lines = []) {
    get("end-said").textContent = text;
    get("end-changes").replaceChildren(...lines.map(line => {
      const entry = document.createElement("li");
      entry.textContent = line;
      return entry;
    }));
  }

  next(command) {
    get("end-next").hidden = !command;
    get("end-next").textContent = command;
  }

  async convert() {
    if (this.running) return;
    this.running = true;
    get("convert").setAttribute("aria-disabled", "true"); // and not disabled, which would lose the focus
    this.next("");
    this.say("Converting.");
    try {
      await server.convert();
      await this.watch();
    } catch (error) {
      this.say(error.message);
    }
    this.running = false;
    get("end-progress").hidden = true;
    get("end-stage").textContent = "";
    get("convert").removeAttribute("aria-disabled");
    get("end-close").focus();
  }

  async watch() {
    for (;;) {
      const now = await server.conversion();
      if (now.state === "failed") throw new Error(`The set is as it was: ${now.message}`);
      if (now.state === "done") {
        await this.converted();
        this.say("Converted.", told(now.difference));
        this.next(this.review.next_step);
        get("convert").hidden = true;
        return;
      }
      const bar = get("end-progress");
      bar.hidden = false;
      bar.max = now.total || 1;
      if (now.total) bar.value = now.done;
      else bar.removeAttribute("value");
      get("end-stage").textContent = now.total
        ? `${now.stage}, ${now.done.toLocaleString("en")} of ${now.total.toLocaleString("en")}` : "";
      await new Promise(resolve => setTimeout(resolve, EVERY));
    }
  }
}
