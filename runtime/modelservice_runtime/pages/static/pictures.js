// A picture from words, with a bar that tells how many steps are done.

import { el, field, fill } from "./dom.js";

export function pictureForm({ card, api, runner }) {
  const prompt = el("textarea", { rows: 3, value: card.example.prompt });
  const count = el("input", { type: "number", min: 1, max: 4, value: 1 });
  const steps = el("input", { type: "number", min: 1, max: 100, placeholder: "the model's" });
  const seed = el("input", { type: "number", min: 0, step: 1, placeholder: "any" });
  const output = el("section", { className: "card output", ariaLabel: "Answer", ariaLive: "polite" }, el("p", { className: "hint" }, "The picture appears here."));
  const button = el("button", { type: "submit", className: "primary" }, "Draw");
  const run = runner(button, output);
  const optional = (name, control) => (control.value === "" ? {} : { [name]: Number(control.value) });

  const ask = () =>
    run(async (signal) => {
      const places = Array.from({ length: Number(count.value) || 1 }, () => {
        const bar = el("progress", { max: 1, value: 0, ariaLabel: "Steps that are done" });
        return { bar, node: el("figure", {}, bar) };
      });
      fill(output, el("div", { className: "gallery" }, places.map(({ node }) => node)));
      const body = { model: card.id, prompt: prompt.value, n: places.length, ...optional("num_inference_steps", steps), ...optional("seed", seed) };
      let done = 0;
      for await (const event of api.stream("/v1/images/generations", body, signal)) {
        const { bar, node } = places[event.index];
        if (event.type.endsWith("progress")) Object.assign(bar, { max: event.steps, value: event.step });
        else {
          done = Number(bar.max);
          fill(node, el("img", { src: `data:image/png;base64,${event.b64_json}`, alt: prompt.value, className: "drawn" }), el("figcaption", {}, `seed ${event.seed}`));
        }
      }
      return { steps: done };
    });
  const form = el("form", { className: "card", onsubmit: (event) => { event.preventDefault(); ask(); } }, field("Prompt", prompt), el("div", { className: "fields" }, field("Pictures", count), field("Steps", steps), field("Seed", seed)), el("div", { className: "row" }, button));
  return el("div", { className: "columns" }, form, output);
}
