// Readings of many pictures: read some at a time, shown as a table, saved as CSV.

import { GoneError, KeyError, read, UnsentError } from "./api.js";
import { nameOf } from "./files.js";
import { percent, remark, saying, show } from "./picture.js";

const TOGETHER = 16; // pictures of a request: few enough that the first rows come at once
const AT_ONCE = 2; // requests on their way
const MAX_ROWS = 2000; // that are drawn; the CSV has all

const COLUMNS = ["image", "text", "confidence", "rejected_text", "rejected", "error", "unconstrained_text"];

const part = (id) => document.getElementById(id);
let rows = [];
let stopping = new AbortController();

/** Read files, in requests that fit the limits, and fill the table as answers come. */
export async function readAll(files, model, limits) {
  stopping.abort(); // what is still read of the files before
  const stop = stopping = new AbortController();
  const mine = rows = files.map((file) => ({ file, name: nameOf(file), reading: null }));
  part("many").hidden = false;
  part("table").tBodies[0].replaceChildren();
  part("hidden-rows").hidden = files.length <= MAX_ROWS;
  part("hidden-rows").textContent = `The first ${MAX_ROWS} of ${files.length} are shown; the CSV has all.`;
  part("stop").hidden = false;
  part("save").disabled = true;
  const requests = requestsOf(mine, limits);
  let done = 0;
  told(0, files.length);
  async function work() {
    for (let request = requests.shift(); request; request = requests.shift()) {
      await readSome(request, model, stop.signal);
      if (stop.signal.aborted) return;
      done += request.length;
      told(done, files.length);
      draw(mine);
    }
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } finally {
    stop.abort();
    if (mine === rows) ended(done, files.length);
  }
}

function ended(done, total) {
  const isStopped = document.activeElement === part("stop");
  part("stop").hidden = true;
  part("save").disabled = !done;
  if (isStopped) part(done ? "save" : "files").focus(); // the button is gone
  if (done < total) part("status").textContent = `Stopped: ${done} of ${total} pictures were read`;
}

async function readSome(request, model, signal) {
  const tooLarge = request.length === 1 && request[0].tooLarge;
  if (tooLarge) {
    request[0].reading = { error: tooLarge };
    return;
  }
  try {
    const readings = await read(request.map((row) => row.file), model, signal);
    readings.forEach((reading, i) => { request[i].reading = reading; });
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof KeyError || error instanceof GoneError) throw error;
    if (error instanceof UnsentError && request.length > 1) { // which of them cannot be sent?
      for (const row of request) await readSome([row], model, signal);
      return;
    }
    for (const row of request) row.reading = { error: error.message };
  }
}

function requestsOf(all, limits) {
  const requests = [];
  let size = Infinity;
  for (const row of all) {
    const bytes = row.file.size + 500; // with the head of its part
    if (bytes > limits.max_bytes) row.tooLarge = `more than the ${limits.max_bytes} bytes that the service takes`;
    const last = requests.at(-1);
    if (!last || size + bytes > limits.max_bytes || last.length >= Math.min(TOGETHER, limits.max_pictures)) {
      requests.push([row]);
      size = bytes;
    } else {
      last.push(row);
      size += bytes;
    }
  }
  return requests;
}

function told(done, total) {
  part("progress").max = total;
  part("progress").value = done;
  part("count").textContent = `${done} of ${total}`;
  if (done < total) return;
  const bad = rows.filter((row) => row.reading?.error).length;
  part("status").textContent = bad
    ? `${total - bad} of ${total} pictures were read, ${bad} could not be`
    : `${total} pictures were read`;
}

function draw(all) {
  const body = part("table").tBodies[0];
  while (body.rows.length < Math.min(MAX_ROWS, all.length) && all[body.rows.length].reading) {
    body.append(line(all[body.rows.length]));
  }
}

function line(row) {
  const made = document.createElement("tr");
  const { reading } = row;
  const name = document.createElement("button");
  name.type = "button";
  name.textContent = row.name;
  name.addEventListener("click", () => {
    show(row.file, row.name, reading);
    part("status").textContent = `${row.name}: ${saying(reading)}`;
    part("result").scrollIntoView({ block: "nearest" });
  });
  const text = document.createElement("span");
  text.className = "code text";
  text.textContent = reading.text || reading.rejected_text || "";
  const said = document.createElement("span");
  said.className = reading.error ? "remark error" : "remark";
  said.textContent = remark(reading);
  for (const parts of [[name], [text, said], [percent(reading.confidence)]]) {
    const cell = made.insertCell();
    cell.append(...parts);
  }
  made.lastElementChild.className = "number";
  return made;
}

/** The table as CSV: the columns of `detector predict --format csv`. */
export function csv() {
  const lines = rows.filter((row) => row.reading).map(({ name, reading }) =>
    COLUMNS.map((column) => field(column === "image" ? name : reading[column])).join(","));
  return [COLUMNS.join(","), ...lines, ""].join("\r\n");
}

function field(value) {
  let text = value === undefined || value === null ? "" : String(value);
  if (/^[=+\-@\t\r]/.test(text) && !/^-?[\d.]+$/.test(text)) text = `'${text}`; // a table program would run it
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

part("stop").addEventListener("click", () => stopping.abort());
part("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", csv()], { type: "text/csv" }));
  link.download = "readings.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});
