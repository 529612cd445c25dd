// Elements without a framework. Text goes in as text, never as HTML: what a model writes cannot become markup.

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) node.style.setProperty(key, each);
    else if (name in node && name !== "list" && name !== "role") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

let ids = 0;

// A labelled control; the label and its control are joined by an id, for screen readers and for clicks.
export function field(label, control, hint) {
  control.id ||= `field-${(ids += 1)}`;
  return el("div", { className: "field" }, el("label", { htmlFor: control.id }, label), control, hint ? el("small", {}, hint) : null);
}

export function percent(share) {
  return `${(100 * share).toFixed(share > 0.0995 || share === 0 ? 1 : 2)} %`;
}

// A server counts characters, JavaScript halves of some; this cuts a text as the server does.
export function characters(text) {
  return Array.from(text);
}
