// Speech in, its text with times out.

import { audioInput } from "./audio-input.js";
import { el, fill } from "./dom.js";

function transcript(answer) {
  const parts = answer.segments || [];
  const rows = parts.map(({ start, end, text }) => el("li", {}, el("span", { className: "time" }, `${start.toFixed(1)}–${end.toFixed(1)} s`), ` ${text}`));
  return el("div", {}, el("p", { className: "headline" }, answer.text || "(silence)"), parts.length > 1 ? el("ol", { className: "segments" }, rows) : null);
}

export function speechForm({ card, api, runner }) {
  const input = audioInput("Sound file");
  const output = el("section", { className: "card output", ariaLabel: "Answer", ariaLive: "polite" }, el("p", { className: "hint" }, "The text appears here."));
  const button = el("button", { type: "submit", className: "primary" }, "Transcribe");
  const run = runner(button, output);
  const ask = () =>
    run(async (signal) => {
      const speech = input.blob();
      if (!speech) throw new Error("record something, or choose a file");
      const fields = { file: new File([speech], speech.name || "speech.wav", { type: speech.type }), model: card.id, response_format: "verbose_json" };
      const answer = await api.upload("/v1/audio/transcriptions", fields, signal);
      fill(output, transcript(answer));
      return { speech: answer.duration ? `${Number(answer.duration).toFixed(1)} s` : undefined, language: answer.language };
    });
  const form = el("form", { className: "card", onsubmit: (event) => { event.preventDefault(); ask(); } }, input.node, el("div", { className: "row" }, button));
  return el("div", { className: "columns" }, form, output);
}
