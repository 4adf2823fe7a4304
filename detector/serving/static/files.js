// Files that were chosen, dropped or pasted, folders gone through.

const PICTURE = /\.(png|jpe?g|jpe|jfif|bmp|dib|webp|tiff?|gif|p[pgbn]m|avif|jp2)$/i;

const ORDER = new Intl.Collator(undefined, { numeric: true }); // one for all, as a folder may have very many

/** How a file is called: with its folders below the one that was chosen. */
export function nameOf(file) {
  return file.path || file.webkitRelativePath?.split("/").slice(1).join("/") || file.name || "picture";
}

/** Pictures among files, by name or type; what was chosen one by one is taken as it is. */
export function picturesOf(files) {
  return [...files].map((file) => ({ file, name: nameOf(file) }))
    .filter(({ name }) => !name.split("/").some((part) => part.startsWith(".")))
    .filter(({ file }) => PICTURE.test(file.name) || file.type.startsWith("image/"))
    .sort((one, other) => ORDER.compare(one.name, other.name))
    .map(({ file }) => file);
}

/** The files of something that was dropped, those of folders too. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return { files: [...transfer.files], isFolder: false };
  const files = [];
  const root = entries.length === 1 ? null : ""; // of one folder names begin below it, as of one that is chosen
  for (const entry of entries) await walk(entry, root, files);
  return { files, isFolder: true };
}

async function walk(entry, folder, files) {
  const path = folder === null ? "" : folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    file.path = path;
    files.push(file);
    return;
  }
  const reader = entry.createReader();
  for (;;) { // it gives a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const one of some) await walk(one, path && `${path}/`, files);
  }
}
