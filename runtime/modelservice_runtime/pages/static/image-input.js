// A picture from a file, the clipboard, a drop, or one's own hand. Files stay as they are; a drawing becomes a PNG.

import { el } from "./dom.js";

const SIDE = 280;
const PEN = 22;

function readFile(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

function drawingBoard(onStroke) {
  const canvas = el("canvas", { width: SIDE, height: SIDE, className: "board", tabIndex: 0, role: "img", ariaLabel: "Drawing board: draw with mouse or finger" });
  const context = canvas.getContext("2d");
  const clear = () => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE, SIDE);
  };
  let last = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  };
  const line = (event) => {
    const [x, y] = at(event);
    Object.assign(context, { strokeStyle: "#fff", lineWidth: PEN, lineCap: "round", lineJoin: "round" });
    context.beginPath();
    context.moveTo(...(last || [x, y]));
    context.lineTo(x, y);
    context.stroke();
    last = [x, y];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    line(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && line(event));
  canvas.addEventListener("pointerup", () => {
    last = null;
    onStroke(canvas.toDataURL("image/png"));
  });
  clear();
  return { canvas, clear };
}

export function imageInput(title, { optional = false } = {}) {
  let picture;
  const preview = el("img", { className: "preview", alt: "The chosen picture", hidden: true });
  const file = el("input", { type: "file", accept: "image/png,image/jpeg,image/webp", className: "file", ariaLabel: `${title}: choose a file` });
  const remove = el("button", { type: "button", className: "quiet", hidden: true, onclick: () => take(undefined) }, "Remove");
  const take = (value, show = true) => {
    picture = value;
    preview.hidden = !value || !show;
    remove.hidden = !value || !optional;
    if (value && show) preview.src = value;
  };
  const board = drawingBoard((drawn) => take(drawn, false));
  const drawing = el("div", { className: "drawing", hidden: true }, board.canvas, el("button", { type: "button", className: "quiet", onclick: () => { board.clear(); take(undefined); } }, "Clear"));
  const draw = el("button", { type: "button", className: "quiet", ariaExpanded: "false", onclick: () => toggle(drawing.hidden) }, "Draw");
  const toggle = (open) => {
    drawing.hidden = !open;
    draw.ariaExpanded = String(open);
    if (open) take(undefined);
  };
  const takeFile = async (chosen) => {
    if (!chosen?.type.startsWith("image/")) return;
    toggle(false);
    take(await readFile(chosen));
  };
  file.addEventListener("change", () => takeFile(file.files[0]));
  const node = el(
    "fieldset",
    {
      className: "drop",
      ondragover: (event) => event.preventDefault(),
      ondrop: (event) => { event.preventDefault(); takeFile(event.dataTransfer.files[0]); },
      onpaste: (event) => takeFile(event.clipboardData.files[0]),
    },
    el("legend", {}, title),
    el("div", { className: "row" }, file, optional ? null : draw, remove),
    el("small", {}, optional ? "or drop or paste one here" : "or drop or paste one here, or draw one"),
    preview,
    drawing,
  );
  return { node, read: () => picture, clear: () => { file.value = ""; take(undefined); }, focus: () => file.focus() };
}
