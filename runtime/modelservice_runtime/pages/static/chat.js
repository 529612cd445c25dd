// A conversation that streams. Enter sends, Shift+Enter makes a new line, Escape stops.

import { el, field } from "./dom.js";
import { imageInput } from "./image-input.js";
import { samplingOptions, Speed } from "./generation.js";

const PATH = "/v1/chat/completions";

function bubble(role, text = "", image = undefined) {
  const body = el("div", { className: "said" }, text);
  return { body, node: el("div", { className: `bubble ${role}` }, el("span", { className: "who" }, role === "user" ? "You" : "Model"), image ? el("img", { src: image, alt: "The picture that was sent", className: "small" }) : null, body) };
}

export function chatForm({ card, api, runner }) {
  const sees = card.task === "image-text-to-text";
  const messages = [];
  const log = el("section", { className: "card log", ariaLabel: "Conversation", ariaLive: "polite", role: "log" }, el("p", { className: "hint" }, "Say something to begin."));
  const text = el("textarea", { rows: 2, value: sees ? "What is in this picture?" : "Name three colours.", ariaLabel: "Message" });
  const image = sees ? imageInput("Picture", { optional: true }) : null;
  const button = el("button", { type: "submit", className: "primary" }, "Send");
  const options = samplingOptions({ maxTokens: 128 });
  const run = runner(button, log);
  const again = el("button", { type: "button", className: "quiet", onclick: () => { messages.length = 0; log.replaceChildren(); text.focus(); } }, "New conversation");

  function ask() {
    run(async (signal) => {
      if (!messages.length) log.replaceChildren();
      const seen = image?.read();
      const said = text.value.trim();
      if (!said && !seen) return {};
      const content = seen ? [{ type: "image_url", image_url: { url: seen } }, { type: "text", text: said }] : said;
      messages.push({ role: "user", content });
      const mine = bubble("user", said, seen);
      const answer = bubble("assistant");
      log.append(mine.node, answer.node);
      text.value = "";
      image?.clear();
      const speed = new Speed();
      try {
        const body = { model: card.id, messages: [...messages], ...options.read(), stream: true, stream_options: { include_usage: true } };
        for await (const chunk of api.stream(PATH, body, signal)) {
          const piece = chunk.choices[0]?.delta.content;
          if (piece) {
            speed.tick();
            answer.body.append(piece);
            log.scrollTop = log.scrollHeight;
          }
          if (chunk.usage) speed.usage(chunk.usage);
        }
      } catch (error) {
        if (error.name !== "AbortError") {
          messages.pop();
          text.value = said;
          answer.node.remove();
          mine.node.remove();
        }
        throw error;
      } finally {
        if (answer.body.textContent) messages.push({ role: "assistant", content: answer.body.textContent });
        else if (messages.at(-1)?.role === "user") messages.pop();
      }
      return speed.numbers();
    });
  }

  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      ask();
    }
    if (event.key === "Escape" && button.textContent === "Stop") ask();
  });
  const form = el(
    "form",
    { className: "card", onsubmit: (event) => { event.preventDefault(); ask(); } },
    image?.node,
    field("Message", text, "Enter sends, Shift+Enter breaks the line, Escape stops"),
    options.node,
    el("div", { className: "row" }, button, again),
  );
  return el("div", { className: "chat" }, log, form);
}
