// What the task gave, as people read it: one view for each kind of result. A kind without a view is shown as JSON.

import { characters, el, fill, percent } from "./dom.js";

export const COLOURS = 8;

// The same label has the same colour everywhere in an answer.
function palette(labels) {
  const order = [...new Set(labels)];
  return (label) => order.indexOf(label) % COLOURS;
}

export function labels(prediction) {
  const rows = prediction.slice(0, 12).map(({ label, score }, index) =>
    el(
      "li",
      { className: index === 0 ? "bar first" : "bar" },
      el("span", { className: "name" }, label),
      bar(score),
      el("span", { className: "score" }, percent(score)),
    ),
  );
  return el("ol", { className: "bars", ariaLabel: "Labels, the most likely first" }, rows);
}

export function entities(prediction, instance) {
  const text = characters(instance.text || "");
  const colour = palette(prediction.map((entity) => entity.label));
  const parts = [];
  let at = 0;
  for (const { label, start, end, score } of prediction) {
    if (start < at) continue;
    parts.push(text.slice(at, start).join(""));
    parts.push(el("mark", { className: `colour-${colour(label)}`, title: percent(score) }, text.slice(start, end).join(""), el("sub", {}, label)));
    at = end;
  }
  parts.push(text.slice(at).join(""));
  return el("div", {}, el("p", { className: "reading" }, parts), prediction.length ? null : el("p", { className: "hint" }, "Nothing was found in this text."));
}

export function fills(prediction) {
  const one = (mask, index) =>
    el(
      "div",
      {},
      prediction.length > 1 ? el("h3", {}, `Mask ${index + 1}`) : null,
      labels(mask.map(({ token, score }) => ({ label: token, score }))),
      el("p", { className: "reading" }, mask[0]?.sequence || ""),
    );
  return el("div", {}, prediction.map(one));
}

export function answer(prediction, instance) {
  const best = Array.isArray(prediction) ? prediction[0] : prediction;
  const text = characters(instance.context || "");
  const marked = best && best.end > best.start;
  return el(
    "div",
    {},
    el("p", { className: "headline" }, marked ? best.answer ?? best.text : "The text does not hold an answer.", best ? el("small", {}, ` ${percent(best.score)}`) : null),
    el("p", { className: "reading" }, marked ? [text.slice(0, best.start).join(""), el("mark", { className: "colour-0" }, text.slice(best.start, best.end).join("")), text.slice(best.end).join("")] : text.join("")),
  );
}

export function completion(prediction) {
  return el("p", { className: "reading" }, prediction.text);
}

// A picture of few pixels shows them as squares, not as a blur.
export function sharpen(event) {
  event.target.classList.toggle("coarse", event.target.naturalWidth < 100);
}

export function ranking(prediction, instance) {
  const ranked = prediction.map(({ index, relevance_score: score }) => ({ label: instance.documents[index], score }));
  const best = Math.max(1, ...ranked.map(({ score }) => score));
  const rows = ranked.map(({ label, score }, place) =>
    el("li", { className: place === 0 ? "ranked first" : "ranked" }, el("span", {}, label), bar(score / best), el("span", { className: "score" }, score.toFixed(3))),
  );
  return el("ol", { className: "bars", ariaLabel: "Documents, the most relevant first" }, rows);
}

function bar(share) {
  return el("span", { className: "track" }, el("span", { className: "level", style: { width: `${100 * Math.min(1, Math.max(0, share))}%` } }));
}

function picture(source) {
  return el("img", { src: source, alt: "The picture that was sent", className: "under", onload: sharpen });
}

export function boxes(prediction, instance) {
  const colour = palette(prediction.map((found) => found.label));
  const image = picture(instance.image);
  const layer = el("div", { className: "over" });
  image.addEventListener("load", () => {
    const share = (part, whole) => `${(100 * part) / whole}%`;
    fill(
      layer,
      prediction.map(({ label, score, box }) =>
        el("div", {
          className: `box line-${colour(label)}`,
          style: {
            left: share(box.xmin, image.naturalWidth),
            top: share(box.ymin, image.naturalHeight),
            width: share(box.xmax - box.xmin, image.naturalWidth),
            height: share(box.ymax - box.ymin, image.naturalHeight),
          },
        }, el("span", { className: `colour-${colour(label)}` }, `${label} ${percent(score)}`)),
      ),
    );
  });
  const told = prediction.map(({ label, score }) => el("li", {}, el("span", { className: `dot colour-${colour(label)}` }), `${label} ${percent(score)}`));
  return el("div", {}, el("div", { className: "stack" }, image, layer), legend(told, "Nothing was found in this picture."));
}

function legend(items, otherwise) {
  return items.length ? el("ul", { className: "legend" }, items) : el("p", { className: "hint" }, otherwise);
}

export function masks(prediction, instance) {
  const colour = palette(prediction.map((part) => part.label));
  const layers = prediction.map(({ label, mask }) => {
    const layer = el("canvas", { className: `over mask line-${colour(label)}` });
    tint(layer, mask);
    return layer;
  });
  const told = prediction.map(({ label, score }, index) =>
    el("li", {}, el("label", {},
      el("input", { type: "checkbox", checked: true, onchange: (event) => { layers[index].hidden = !event.target.checked; } }),
      el("span", { className: `dot colour-${colour(label)}` }), score === null || score === undefined ? label : `${label} ${percent(score)}`)),
  );
  return el("div", {}, el("div", { className: "stack" }, picture(instance.image), layers), legend(told, "No part of this picture was recognised."));
}

// Paints the white of a mask in the colour of its layer and leaves the rest clear.
function tint(canvas, mask) {
  const image = new Image();
  image.addEventListener("load", () => {
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < pixels.data.length; at += 4) pixels.data[at + 3] = pixels.data[at];
    context.putImageData(pixels, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = getComputedStyle(canvas).getPropertyValue("border-top-color") || "#e8590c";
    context.fillRect(0, 0, canvas.width, canvas.height);
  });
  image.src = `data:image/png;base64,${mask}`;
}

export function drawn(prediction) {
  return el("figure", {}, el("img", { src: `data:image/png;base64,${prediction.image}`, alt: "The picture that was drawn", className: "drawn" }));
}

export function json(prediction) {
  return el("pre", { tabIndex: 0 }, JSON.stringify(prediction, null, 2));
}

const VIEWS = { labels, entities, fills, answer, answers: answer, completion, boxes, masks, ranking, picture: drawn };

export function view(gives, prediction, instance) {
  return (VIEWS[gives] || json)(prediction, instance);
}
