// What chat and completion share: how to sample, and how fast it went.

import { el, field } from "./dom.js";

export function samplingOptions({ maxTokens }) {
  const tokens = el("input", { type: "number", min: 1, max: 4096, value: maxTokens });
  const temperature = el("input", { type: "number", min: 0, max: 2, step: 0.1, value: 0.7 });
  const seed = el("input", { type: "number", min: 0, step: 1, placeholder: "any" });
  return {
    node: el("details", {}, el("summary", {}, "Options"), el("div", { className: "fields" }, field("Tokens at most", tokens), field("Temperature", temperature), field("Seed", seed))),
    read: () => ({
      max_tokens: Number(tokens.value) || maxTokens,
      temperature: Number(temperature.value),
      ...(seed.value === "" ? {} : { seed: Number(seed.value) }),
    }),
  };
}

export class Speed {
  constructor() {
    this.began = performance.now();
    this.first = null;
    this.last = null;
    this.pieces = 0;
    this.made = null;
    this.read = null;
  }

  tick() {
    this.last = performance.now();
    this.first ??= this.last;
    this.pieces += 1;
  }

  usage(usage) {
    this.made = usage.completion_tokens;
    this.read = usage.prompt_tokens;
  }

  numbers() {
    const made = this.made ?? this.pieces;
    const seconds = (this.last - this.first) / 1000;
    return {
      "first token": this.first ? `${Math.round(this.first - this.began)} ms` : undefined,
      "tokens/s": made > 1 && seconds > 0 ? ((made - 1) / seconds).toFixed(1) : undefined,
      tokens: this.read === null ? made : `${this.read} read, ${made} made`,
    };
  }
}
