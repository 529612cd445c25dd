// The form for one instance of what the task reads, made from the example that the server gives: a text area for a text,
// an upload for a picture, lines for a list. A task with a new kind of instance therefore gets a form without a change here.

import { audioInput } from "./audio-input.js";
import { el, field } from "./dom.js";
import { imageInput } from "./image-input.js";

const TITLES = {
  text: "Text",
  prompt: "Prompt",
  image: "Picture",
  audio: "Sound file",
  question: "Question",
  context: "Context: the text that holds the answer",
  candidate_labels: "Labels that may fit, one a line",
  labels: "Labels that may fit, one a line",
  query: "Query",
  document: "Document",
  documents: "Documents, one a line",
};
const LONG_FIELDS = new Set(["text", "context", "document", "prompt"]);

function titleOf(name) {
  return TITLES[name] || name.replaceAll("_", " ");
}

function textEditor(name, example) {
  const control = el("textarea", { rows: LONG_FIELDS.has(name) ? 4 : 2, value: example, name, spellcheck: true });
  return { node: field(titleOf(name), control), read: () => control.value.trim() || undefined, focus: () => control.focus() };
}

function linesEditor(name, example) {
  const control = el("textarea", { rows: Math.max(3, example.length + 1), value: example.join("\n"), name });
  const lines = () => control.value.split("\n").map((line) => line.trim()).filter(Boolean);
  return { node: field(titleOf(name), control), read: () => (lines().length ? lines() : undefined), focus: () => control.focus() };
}

function numberEditor(name, example) {
  const control = el("input", { type: "number", step: "any", value: String(example), name });
  return { node: field(titleOf(name), control), read: () => (control.value === "" ? undefined : Number(control.value)) };
}

function editorFor(name, example) {
  if (name === "image" || (typeof example === "string" && example.startsWith("data:image/"))) return imageInput(titleOf(name));
  if (name === "audio" || (typeof example === "string" && example.startsWith("data:audio/"))) return audioInput(titleOf(name));
  if (Array.isArray(example)) return linesEditor(name, example);
  if (typeof example === "number") return numberEditor(name, example);
  return textEditor(name, String(example));
}

export function instanceEditor(example) {
  const parts = Object.entries(example).map(([name, value]) => [name, editorFor(name, value)]);
  return {
    node: el("div", {}, parts.map(([, part]) => part.node)),
    // Returns the instance; a field that was left empty is left out, and the server names what it misses.
    read: () =>
      Object.fromEntries(parts.map(([name, part]) => [name, part.read()]).filter(([, value]) => value !== undefined)),
    focus: () => parts[0]?.[1].focus?.(),
  };
}
