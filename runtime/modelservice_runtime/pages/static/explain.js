// Why: words and pixels coloured by what they added to the label. Orange is for it, blue against it, by strength.

import { characters, el, percent } from "./dom.js";
import { sharpen } from "./views.js";

const METHODS = {
  integrated_gradients: "integrated gradients",
  gradient: "gradient (fast)",
  occlusion: "occlusion",
  attention: "attention",
};

export function explainSwitch() {
  const box = el("input", { type: "checkbox", id: "explain", role: "switch" });
  const method = el("select", { ariaLabel: "Method of the explanation", hidden: true }, Object.entries(METHODS).map(([value, name]) => el("option", { value }, name)));
  box.addEventListener("change", () => { method.hidden = !box.checked; });
  return {
    node: el("span", { className: "row" }, el("label", { htmlFor: "explain", className: "switch" }, box, "Explain"), method),
    wanted: () => box.checked,
    options: () => ({ method: method.value }),
  };
}

function tone(score, largest) {
  const strength = largest ? Math.min(1, Math.abs(score) / largest) : 0;
  return { "--strength": `${Math.round(70 * strength)}%`, "--tone": score >= 0 ? "var(--for)" : "var(--against)" };
}

function words(explanation, text) {
  const letters = characters(text);
  const largest = Math.max(...explanation.tokens.map((token) => Math.abs(token.score)));
  const parts = [];
  let at = 0;
  for (const { start, end, score } of explanation.tokens) {
    parts.push(letters.slice(at, start).join(""));
    parts.push(el("span", { className: "share", title: score.toFixed(3), style: tone(score, largest) }, letters.slice(start, end).join("")));
    at = end;
  }
  parts.push(letters.slice(at).join(""));
  return el("p", { className: "reading" }, parts);
}

function strongest(explanation) {
  const order = [...explanation.tokens].sort((one, other) => Math.abs(other.score) - Math.abs(one.score)).slice(0, 5);
  return el("ul", { className: "legend" }, order.map(({ text, score }) => el("li", {}, `${text} ${score >= 0 ? "+" : "−"}${Math.abs(score).toFixed(2)}`)));
}

function pixels({ image }, source) {
  return el(
    "div",
    { className: "stack pixels" },
    el("img", { src: source, alt: "The picture that was sent", className: "under", onload: sharpen }),
    el("img", { src: `data:image/png;base64,${image.heat_map}`, alt: "What each part of the picture added: orange for the label, blue against it", className: "over heat" }),
  );
}

export function showExplanation(explanation, instance) {
  const { target, baseline, method, convergence_delta: delta } = explanation;
  const of = target.start === null || target.start === undefined ? "" : ` for “${characters(instance.text).slice(target.start, target.end).join("")}”`;
  return el(
    "section",
    { className: "explanation", ariaLabel: "Explanation" },
    el("h2", {}, `Why ${target.label}${of}?`),
    explanation.tokens ? [words(explanation, instance.text), strongest(explanation)] : pixels(explanation, instance.image),
    el("p", { className: "hint" }, el("span", { className: "share", style: tone(1, 1) }, "for it"), " ", el("span", { className: "share", style: tone(-1, 1) }, "against it"),
      ` · ${METHODS[method]}; ${percent(baseline.score)} without the input (${baseline.name})`,
      delta === null ? "" : `; error of the sum ${delta.toExponential(1)}`),
  );
}
