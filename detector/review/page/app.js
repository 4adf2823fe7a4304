// The page: one picture at a time, decided on by keyboard.

import { Finish } from "./finish.js";
import { Picture } from "./picture.js";
import * as server from "./server.js";
import { Strip } from "./strip.js";
import { compared, showMarked, spelled, verdict } from "./texts.js";

const EVERY = 2000; // milliseconds between questions for what other windows decided
const LONG = 14; // symbols from which a label is written smaller
const get = id => document.getElementById(id);
const viewer = get("viewer"), field = get("label");

const state = {
  review: null, items: [], at: 0, number: 0, generation: 0, detail: null, busy: false, asking: false, lost: false,
  failed: false, // the picture could not be had
};
const places = new Map(); // of each item by its key
const drafts = new Map(); // what was typed and not decided, by key
const undone = []; // decisions to take back, the last one last, each with the version that it made

const picture = new Picture(viewer, get("canvas"), get("problem"));
const strip = new Strip(get("strip"), get("belt"), at => go(at));
const finish = new Finish(counts, () => load());

function counts() {
  return { decided: state.items.filter(item => item.decision).length, all: state.items.length };
}

const current = () => state.items[state.at];
const settled = item => (item.decision === "correct" ? item.corrected : item.typed);
const overtaken = item => `Another window has ${verdict(item) || "taken its decision back"} this one: decide again to replace that.`;

function complain(text) {
  if (get("said").textContent !== text) get("said").textContent = text; // the same again would be read aloud again
}

async function load() {
  const key = current()?.key;
  const review = await server.items();
  Object.assign(state, { review, items: review.items, number: review.number, generation: review.generation });
  finish.review = review;
  places.clear();
  undone.length = 0;
  state.items.forEach((item, at) => places.set(item.key, at));
  document.title = `${review.title} · detector review`;
  get("title").textContent = review.title;
  strip.show(state.items);
  count();
  get("finish").disabled = false;
  await go(places.get(key) ?? Math.max(0, state.items.findIndex(item => !item.decision)));
}

function count() {
  const { decided, all } = counts();
  get("progress").max = all || 1;
  get("progress").value = decided;
  get("counted").textContent = `${decided.toLocaleString("en")} of ${all.toLocaleString("en")} decided`;
  get("undo").disabled = !undone.length;
  get("finish").classList.toggle("main", decided === all);
}

async function go(at) {
  state.at = Math.max(0, Math.min(at, state.items.length - 1));
  strip.select(state.at);
  const item = current();
  document.body.dataset.at = ""; // a sign for whoever watches that the picture is not there yet
  complain("");
  state.detail = null;
  state.failed = false;
  if (!item) {
    for (const id of ["accept", "take", "drop", "boxes", "zoom"]) get(id).disabled = true;
    picture.fail("There is nothing to decide on.");
    return;
  }
  words(item);
  let detail;
  try {
    detail = await server.item(item.key);
  } catch (error) {
    if (current()?.key !== item.key) return; // another one was gone to meanwhile
    state.failed = true;
    picture.fail(error.message);
    return;
  }
  if (current()?.key !== item.key) return;
  state.detail = detail;
  offerBoxes();
  picture.show(server.picture(item.key), { ...detail, space: state.review.space });
  zoomed(1);
  reading(item);
  speak(item);
  document.body.dataset.at = String(state.at);
  ahead();
}

// The next picture is fetched before it is asked for.
function ahead() {
  const next = state.items[following(state.at)];
  if (next?.has_picture) new Image().src = server.picture(next.key);
}

function words(item) {
  const [number, all] = [state.at + 1, state.items.length];
  get("place").textContent = `${number.toLocaleString("en")} of ${all.toLocaleString("en")}`;
  get("verdict").textContent = verdict(item);
  get("verdict").className = `verdict ${item.decision}`;
  get("file").textContent = get("file").title = item.name;
  get("confidence").textContent = item.confidence;
  field.value = drafts.get(item.key) ?? settled(item);
  field.classList.toggle("drawn", item.typed === item.text); // as the picture has it, whatever the script's direction
  field.classList.toggle("long", [...item.typed].length > LONG);
  get("reading").classList.toggle("long", [...item.typed].length > LONG);
  get("reading-row").hidden = !item.read;
  get("take").disabled = !item.read;
  for (const id of ["accept", "drop", "boxes", "zoom"]) get(id).disabled = false;
  reading(item);
}

function reading(item) {
  const changed = field.value !== item.typed;
  get("accept-word").textContent = changed && field.value.trim() !== item.typed.trim() ? "Correct" : "Accept";
  if (!item.read) return;
  const marked = changed ? compared(field.value, item.typed_read) : state.detail?.read;
  showMarked(get("reading"), marked ?? [...item.read].map(symbol => [symbol, false]));
  get("reading-said").textContent = spelled(item.typed_read);
}

function speak(item) {
  const differing = state.detail.read.filter(([, differs]) => differs).map(([symbol]) => symbol);
  const read = item.read ? `, read as ${spelled(item.typed_read)}, differing: ${spelled(differing.join(""))}` : "";
  const said = `${state.at + 1} of ${state.items.length}, ${verdict(item) || "not decided"}: label ${spelled(settled(item))}${read}`;
  viewer.setAttribute("aria-label", `Picture ${said}. Enter accepts, question mark helps.`);
  get("spoken").textContent = said;
}

// The nearest after a place that is not decided, from the beginning again; the place itself if there is none.
function following(at) {
  for (let step = 1; step < state.items.length; step += 1) {
    const other = (at + step) % state.items.length;
    if (!state.items[other].decision) return other;
  }
  return at;
}

function take(item) {
  const at = places.get(item.key);
  if (at === undefined) return;
  state.items[at] = item;
  strip.update(at);
}

// One decision at a time, and the next picture only once it is on disk; keys that come meanwhile are for nobody.
async function decide(item, decision, corrected) {
  if (state.busy) return false;
  state.busy = true;
  try {
    const answer = await server.decide(item.key, item.version, decision, corrected);
    take(answer.item);
    complain("");
    return true;
  } catch (error) {
    if (error.item) {
      take(error.item);
      if (error.item.key === current()?.key) words(error.item);
      complain(overtaken(error.item));
    } else complain(error.message);
    return false;
  } finally {
    state.busy = false;
    count();
  }
}

async function conclude(decision, corrected = "") {
  const before = current();
  if (!before || !state.detail) return;
  if (!await decide(before, decision, corrected)) return;
  const after = state.items[places.get(before.key)];
  drafts.delete(before.key);
  if (after.version !== before.version) {
    undone.push({ key: before.key, decision: before.decision, corrected: before.corrected, version: after.version });
  }
  if (document.activeElement === field) viewer.focus();
  count();
  const next = following(state.at);
  if (next === state.at && after.decision) {
    words(after);
    get("finish").focus();
    get("spoken").textContent = "All are decided. Enter finishes.";
    finish.open();
  } else await go(next);
}

function commit() {
  const item = current();
  const typed = field.value.trim();
  if (typed === item?.typed.trim()) conclude("accept"); // a space before it is not seen, and nobody's correction
  else conclude("correct", typed);
}

function useReading() {
  const item = current();
  if (!item?.read) return;
  drafts.delete(item.key);
  conclude("correct", item.typed_read);
}

async function undo() {
  const last = undone.at(-1);
  if (!last || state.busy) return;
  const at = places.get(last.key);
  if (at === undefined) return;
  const isOwn = state.items[at].version === last.version; // else another window has decided since
  const taken = isOwn && await decide(state.items[at], last.decision, last.corrected);
  const after = state.items[at];
  if (!taken && after.version === last.version) return; // it was not saved, and can be tried again
  undone.pop();
  const earlier = undone.findLast(({ key }) => key === last.key);
  if (taken && earlier) earlier.version = after.version;
  count();
  await go(at);
  if (!taken) complain(overtaken(after));
}

// Why there are no boxes that could be hidden; "" where there are some, or it is not known yet.
function boxless() {
  if (!state.detail || state.detail.boxes.length) return "";
  return state.review.kind === "labels" ? "Pre-labels are texts alone, without boxes." : "This picture has no boxes.";
}

function offerBoxes() {
  const why = boxless();
  get("boxes").setAttribute("aria-disabled", String(why !== ""));
  get("boxes").title = why;
}

function toggleBoxes() {
  const why = boxless();
  if (why) {
    complain(why);
    return;
  }
  get("boxes").setAttribute("aria-pressed", String(picture.toggleBoxes()));
}

function zoom() {
  zoomed(picture.nextZoom());
}

function zoomed(times) {
  get("zoomed").textContent = times > 1 ? `${times}×` : "Zoom";
  get("zoom").setAttribute("aria-label", times > 1 ? `Zoom ${times}×` : "Zoom");
}

function help() {
  get("help").showModal();
}

const MOVES = {
  ArrowLeft: () => state.at - 1, ArrowRight: () => state.at + 1, ArrowUp: () => state.at - 1, ArrowDown: () => state.at + 1,
  PageUp: () => state.at - 10, PageDown: () => state.at + 10, Home: () => 0, End: () => state.items.length - 1,
};
const OF_THE_FIELD = ["ArrowLeft", "ArrowRight", "Home", "End"]; // where these move what types
const PANS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LETTERS = { b: toggleBoxes, z: zoom, r: useReading };

// What a key does here, as a function; undefined leaves it to the browser.
function meaning(event) {
  const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
  const typing = event.target === field, letter = key.toLowerCase();
  const pristine = !typing || field.value === settled(current() ?? { typed: "" });
  if ((ctrlKey || metaKey) && !altKey) return letter === "z" && !shiftKey && pristine ? undo : undefined;
  if (ctrlKey || metaKey) return undefined;
  if (altKey) return letter === "b" ? toggleBoxes : letter === "z" ? zoom : undefined;
  if (shiftKey && !typing && PANS[key]) return () => picture.move(...PANS[key]);
  if (MOVES[key] && !(typing && OF_THE_FIELD.includes(key))) return () => go(MOVES[key]());
  if (key === "Enter") return event.target.tagName === "BUTTON" || event.repeat ? undefined : commit;
  if (typing) return key === "Escape" ? leave : undefined;
  if (key === "Delete") return event.repeat ? undefined : () => conclude("drop");
  if (key === "?") return help;
  if (!shiftKey && LETTERS[letter]) return event.repeat ? () => {} : LETTERS[letter];
  return undefined;
}

function leave() {
  drafts.delete(current()?.key);
  if (current()) words(current());
  viewer.focus();
}

document.addEventListener("keydown", event => {
  if (event.isComposing || document.querySelector("dialog[open]")) return;
  const act = meaning(event);
  if (act) {
    event.preventDefault();
    act();
  } else if (event.target !== field && !event.ctrlKey && !event.metaKey && !event.altKey) {
    if ([...event.key].length === 1 && event.key !== " ") {
      field.focus();
      field.select(); // what is typed replaces the label
    } else if (event.key === "Backspace") {
      field.focus();
      field.setSelectionRange(field.value.length, field.value.length);
    }
  }
});

field.addEventListener("input", () => {
  const item = current();
  if (!item) return;
  drafts.set(item.key, field.value);
  complain("");
  reading(item);
});

const CLICKS = {
  accept: commit, take: useReading, drop: () => conclude("drop"), undo, boxes: toggleBoxes, zoom, ask: help,
  finish: () => finish.open(), "help-close": () => get("help").close(),
};
for (const [id, act] of Object.entries(CLICKS)) get(id).addEventListener("click", act);

async function follow() {
  if (document.visibilityState !== "visible" || state.asking || state.busy || finish.running) return;
  state.asking = true;
  try {
    if (!state.review) {
      await load();
      return;
    }
    const changes = await server.changes(state.number);
    if (state.lost) complain("");
    state.lost = false;
    if (state.failed) await go(state.at);
    if (changes.generation !== state.generation) {
      await load();
      return;
    }
    state.number = changes.number;
    for (const item of changes.items) {
      if (item.version <= state.items[places.get(item.key)]?.version) continue;
      take(item);
      if (item.key === current()?.key) words(item);
    }
    count();
  } catch (error) {
    state.lost = true;
    complain(error.message);
  } finally {
    state.asking = false;
  }
}

async function begin() {
  try {
    await load();
  } catch (error) {
    picture.fail(error.message);
  }
  viewer.focus();
  setInterval(follow, EVERY);
  document.addEventListener("visibilitychange", follow);
}

begin();
