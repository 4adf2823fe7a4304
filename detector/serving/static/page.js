// The page: what a person drops, pastes, chooses or photographs is read and shown.

import { KeyError, models, read, setKey } from "./api.js";
import { dropped, nameOf, picturesOf } from "./files.js";
import { saying, show } from "./picture.js";
import { readAll } from "./table.js";

const part = (id) => document.getElementById(id);
const WITHOUT_LIMITS = { max_pictures: 1, max_bytes: Infinity };
let limits = WITHOUT_LIMITS;
let waiting = null; // what was asked for before there was a key
let single = new AbortController(); // of the one picture that is read

async function start() {
  try {
    const served = await models();
    limits = served.limits;
    part("model").replaceChildren(...served.models.map(({ name }) => new Option(name, name)));
    const several = served.models.length > 1;
    part("model-choice").hidden = !several;
    part("model-name").hidden = several;
    part("model-name").lastElementChild.textContent = served.models[0].name;
    if (!part("key-form").hidden) {
      part("key-form").hidden = true;
      part("files").focus(); // it was in the form
    }
    part("problem").hidden = true;
    if (waiting) await take(...waiting);
  } catch (error) {
    trouble(error);
  }
}

/** Read files: one large, many as a table. */
async function take(files, isMany) {
  single.abort();
  const { signal } = single = new AbortController();
  waiting = [files, isMany];
  if (limits === WITHOUT_LIMITS) return start();
  part("problem").hidden = true;
  if (!files.length) {
    waiting = null;
    return trouble(new Error("There is no picture in it."));
  }
  part("drop").classList.add("small");
  try {
    if (isMany || files.length > 1) {
      part("result").hidden = true;
      await readAll(files, part("model").value, limits);
    } else {
      part("status").textContent = "Reading …";
      if (files[0].size + 500 > limits.max_bytes) throw new Error(`The picture has more than the ${limits.max_bytes} bytes that are taken.`);
      const [reading] = await read(files, part("model").value, signal);
      await show(files[0], nameOf(files[0]), reading);
      if (signal.aborted) return;
      part("status").textContent = saying(reading);
    }
    waiting = null;
  } catch (error) {
    if (signal.aborted) return; // something else was asked for meanwhile
    part("status").textContent = "";
    trouble(error);
  }
}

function trouble(error) {
  const needsKey = error instanceof KeyError;
  if (needsKey) {
    limits = WITHOUT_LIMITS;
    part("key-form").hidden = false;
    part("key").focus();
  } else {
    waiting = null;
  }
  part("problem").textContent = needsKey ? "This service asks for an API key." : sentence(error.message);
  part("problem").hidden = false;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

for (const [id, isFolder] of [["files", false], ["folder", true], ["camera", false]]) {
  part(id).addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = ""; // so that the same may be chosen again
    if (files.length) take(isFolder ? picturesOf(files) : files, isFolder);
  });
}
part("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(part("key").value);
  part("key").value = "";
  start();
});

const drop = part("drop");
addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  try {
    const { files, isFolder } = await dropped(event.dataTransfer);
    if (files.length) take(isFolder ? picturesOf(files) : files, isFolder);
  } catch (error) {
    trouble(new Error(`what was dropped cannot be read: ${error.message}`));
  }
});
addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length) take(files, false);
});

start();
