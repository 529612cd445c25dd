// A text that the model continues, shown as it comes.

import { el, field, fill } from "./dom.js";
import { samplingOptions, Speed } from "./generation.js";

export function completionForm({ card, api, runner }) {
  const prompt = el("textarea", { rows: 5, value: card.example.prompt });
  const output = el("section", { className: "card output", ariaLabel: "Answer", ariaLive: "polite" }, el("p", { className: "hint" }, "The text goes on here."));
  const button = el("button", { type: "submit", className: "primary" }, "Continue");
  const options = samplingOptions({ maxTokens: 64 });
  const run = runner(button, output);
  const goesOn = card.task === "text-generation";

  function ask() {
    run(async (signal) => {
      const made = el("span", { className: "made" });
      fill(output, el("p", { className: "reading" }, goesOn ? el("span", { className: "given" }, prompt.value) : null, made));
      const speed = new Speed();
      const body = { model: card.id, prompt: prompt.value, ...options.read(), stream: true, stream_options: { include_usage: true } };
      for await (const chunk of api.stream("/v1/completions", body, signal)) {
        const piece = chunk.choices[0]?.text;
        if (piece) {
          speed.tick();
          made.append(piece);
        }
        if (chunk.usage) speed.usage(chunk.usage);
      }
      return speed.numbers();
    });
  }

  const form = el("form", { className: "card", onsubmit: (event) => { event.preventDefault(); ask(); } }, field("Prompt", prompt, "Ctrl+Enter runs, Escape stops"), options.node, el("div", { className: "row" }, button));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask();
    if (event.key === "Escape" && button.textContent === "Stop") ask();
  });
  return el("div", { className: "columns" }, form, output);
}
