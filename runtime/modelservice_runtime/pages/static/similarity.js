// Sentences in, how alike each two are as a coloured matrix.

import { el, field, fill } from "./dom.js";

const SENTENCES = ["A cat sleeps on the sofa.", "A kitten naps on the couch.", "The stock market fell sharply.", "Shares lost much of their value."];

function cosine(one, other) {
  let product = 0, first = 0, second = 0;
  for (let at = 0; at < one.length; at += 1) {
    product += one[at] * other[at];
    first += one[at] ** 2;
    second += other[at] ** 2;
  }
  return product / Math.sqrt(first * second || 1);
}

function matrix(sentences, vectors) {
  const numbers = sentences.map((_, index) => el("th", { scope: "col", title: sentences[index] }, String(index + 1)));
  const rows = sentences.map((sentence, row) =>
    el("tr", {}, el("th", { scope: "row" }, el("b", {}, `${row + 1} `), sentence), vectors.map((vector) => {
      const alike = cosine(vectors[row], vector);
      return el("td", { className: "share", style: { "--strength": `${Math.round(75 * Math.abs(alike))}%`, "--tone": alike >= 0 ? "var(--for)" : "var(--against)" } }, alike.toFixed(2));
    })),
  );
  return el("div", { className: "scroll" }, el("table", { className: "matrix" }, el("caption", {}, "Cosine similarity: 1 is the same meaning"), el("thead", {}, el("tr", {}, el("td", {}), numbers)), el("tbody", {}, rows)));
}

export function similarityForm({ card, api, runner }) {
  const text = el("textarea", { rows: 6, value: SENTENCES.join("\n") });
  const output = el("section", { className: "card output", ariaLabel: "Answer", ariaLive: "polite" }, el("p", { className: "hint" }, "The matrix appears here."));
  const button = el("button", { type: "submit", className: "primary" }, "Compare");
  const run = runner(button, output);
  const ask = () =>
    run(async (signal) => {
      const sentences = text.value.split("\n").map((line) => line.trim()).filter(Boolean);
      const { data, usage } = await api.post("/v1/embeddings", { model: card.id, input: sentences }, signal);
      fill(output, matrix(sentences, data.map((each) => each.embedding)));
      return { dimensions: data[0].embedding.length, tokens: usage.prompt_tokens };
    });
  const form = el("form", { className: "card", onsubmit: (event) => { event.preventDefault(); ask(); } }, field("Sentences, one a line", text), el("div", { className: "row" }, button));
  return el("div", { className: "columns" }, form, output);
}
