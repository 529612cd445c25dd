// The form of most tasks: an instance in, a prediction out, and why.

import { predictPath } from "./api.js";
import { el, fill } from "./dom.js";
import { instanceEditor } from "./editors.js";
import { explainSwitch, showExplanation } from "./explain.js";
import { view } from "./views.js";

export function predictForm({ card, api, runner }) {
  const editor = instanceEditor(card.example);
  const output = el("section", { className: "card output", ariaLabel: "Answer", ariaLive: "polite" }, el("p", { className: "hint" }, "The answer appears here."));
  const button = el("button", { type: "submit", className: "primary" }, "Run");
  const explain = card.explains ? explainSwitch() : null;
  const run = runner(button, output);
  const ask = () =>
    run(async (signal) => {
      const instance = editor.read();
      const { predictions } = await api.post(predictPath(card.id), { instances: [instance] }, signal);
      fill(output, view(card.gives, predictions[0], instance));
      if (!explain?.wanted()) return {};
      const began = performance.now();
      const waiting = el("p", { className: "hint" }, "Explaining …");
      output.append(waiting);
      try {
        const body = { model: card.id, input: instance, ...explain.options() };
        const { data } = await api.post("/v1/explain", body, signal);
        output.append(showExplanation(data[0], instance));
      } finally {
        waiting.remove();
      }
      return { explanation: `${Math.round(performance.now() - began)} ms` };
    });
  const form = el(
    "form",
    { className: "card", onsubmit: (event) => { event.preventDefault(); ask(); } },
    editor.node,
    el("div", { className: "row" }, button, explain?.node),
  );
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask();
  });
  return el("div", { className: "columns" }, form, output);
}
