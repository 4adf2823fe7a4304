// What the server is asked. Addresses are relative: the token is the first part of the page's own.

export class Refusal extends Error {
  constructor(message, item) {
    super(message);
    this.item = item;
  }
}

const GONE = "The server does not answer: is detector review still running?";

async function answered(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Refusal(`${GONE} ${options ? "What was asked for last may not be done; e" : "E"}arlier decisions are saved.`);
  }
  const kind = response.headers.get("Content-Type") ?? "";
  if (!kind.startsWith("application/json")) throw new Refusal((await response.text()).trim());
  const answer = await response.json();
  if (!response.ok) throw new Refusal(answer.error, answer.item);
  return answer;
}

const post = (address, given) => answered(address, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given),
});

export const items = () => answered("items");
export const item = key => answered(`item/${key}`);
export const changes = number => answered(`changes/${number}`);
export const decide = (key, version, decision, corrected) => post("decide", { key, version, decision, corrected });
export const convert = () => post("convert", {});
export const conversion = () => answered("conversion");
export const picture = key => `picture/${key}`;
export const thumbnail = key => `thumbnail/${key}`;
