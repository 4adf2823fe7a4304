// Labels and readings as text nodes, whatever they hold; spaces are seen.

export const visible = text => text.replaceAll(" ", "␣");

const WORDS = { accept: "accepted", correct: "corrected", drop: "dropped" };
export const SIGNS = { accept: "✓", correct: "✎", drop: "✕" };
export const verdict = item => WORDS[item.decision] ?? "";

// Symbols, each with whether the other text differs there.
export function showMarked(place, symbols) {
  place.replaceChildren(...symbols.map(([symbol, differs]) => {
    if (!differs) return document.createTextNode(visible(symbol));
    const mark = document.createElement("mark");
    mark.textContent = visible(symbol);
    return mark;
  }));
}

// The same for a label that is being typed; null where places cannot be told.
export function compared(typed, read) {
  const [one, other] = [[...typed], [...read]];
  return one.length === other.length ? other.map((symbol, i) => [symbol, symbol !== one[i]]) : null;
}

export function spelled(text) {
  return text === "" ? "nothing" : [...text].map(symbol => (symbol === " " ? "space" : symbol)).join(" ");
}
