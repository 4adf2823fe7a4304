// The API's own description, openapi.json, for people.

const main = document.getElementById("operations");

const EXAMPLES = {
  "image/*": 'curl -H "Content-Type: image/png" --data-binary @plate.png {address}',
  "multipart/form-data": "curl -F a=@1.png -F b=@2.png {address}",
  "application/json": 'curl -H "Content-Type: application/json" -d \'{"pictures": ["\'$(base64 -w0 plate.png)\'"]}\' {address}',
};

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function table(caption, heads, rows) {
  const made = document.createElement("table");
  made.append(element("caption", caption));
  const head = made.createTHead().insertRow();
  for (const text of heads) {
    const cell = element("th", text);
    cell.scope = "col";
    head.append(cell);
  }
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const [i, text] of row.entries()) line.append(element("td", text, i ? "" : "code"));
  }
  return made;
}

/** A schema in a few characters: `array of string`. */
function kindOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(kindOf).join(" or ");
  if (schema.prefixItems) return `${schema.prefixItems.length} × ${kindOf(schema.prefixItems[0])}`;
  if (schema.type === "array") return `list of ${kindOf(schema.items ?? {})}`;
  return [schema.type ?? "any", schema.format && `(${schema.format})`].filter(Boolean).join(" ");
}

function fields(name, schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([field, held]) => [field, kindOf(held), held.description ?? ""]);
  return table(name, ["Field", "Type", "Meaning"], rows);
}

function operation(verb, path, held) {
  const card = document.createElement("article");
  const title = document.createElement("h2");
  title.append(element("span", verb.toUpperCase(), "verb"), element("span", path, "code"));
  card.append(title, element("p", held.summary ?? ""));
  if (held.parameters?.length) {
    const rows = held.parameters.map((one) => [one.name, (one.schema.enum ?? [kindOf(one.schema)]).join(", "), one.description ?? ""]);
    card.append(table("Parameters", ["Name", "Values", "Meaning"], rows));
  }
  if (held.requestBody) {
    card.append(element("h3", "Body"), element("p", held.requestBody.description ?? ""));
    const address = new URL(path.slice(1), location.href).href;
    for (const kind of Object.keys(held.requestBody.content)) {
      if (EXAMPLES[kind]) card.append(element("pre", EXAMPLES[kind].replace("{address}", address), "code"));
    }
  }
  const answers = Object.entries(held.responses ?? {}).map(([status, one]) => {
    const schema = one.content?.["application/json"]?.schema;
    return [status, schema && Object.keys(schema).length ? kindOf(schema) : "", one.description];
  });
  card.append(table("Answers", ["Status", "Body", "When"], answers));
  return card;
}

try {
  const api = await (await fetch("openapi.json")).json();
  for (const [path, verbs] of Object.entries(api.paths)) {
    for (const [verb, held] of Object.entries(verbs)) main.append(operation(verb, path, held));
  }
  const schemas = document.createElement("article");
  schemas.append(element("h2", "What answers hold"));
  for (const [name, schema] of Object.entries(api.components?.schemas ?? {})) schemas.append(fields(name, schema));
  main.append(schemas);
} catch (error) {
  main.append(element("p", `openapi.json cannot be read: ${error.message}`, "notice"));
}
