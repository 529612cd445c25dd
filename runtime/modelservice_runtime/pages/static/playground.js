// Asks the server what it serves and shows the form for it.

import { Api } from "./api.js";
import { chatForm } from "./chat.js";
import { completionForm } from "./complete.js";
import { el, fill } from "./dom.js";
import { pictureForm } from "./pictures.js";
import { predictForm } from "./predict.js";
import { similarityForm } from "./similarity.js";
import { curl, python } from "./snippets.js";
import { speechForm } from "./speech.js";

const RETRY_MILLISECONDS = 1000;
const at = (id) => document.getElementById(id);
const api = new Api(showRequest);
let last = null;
let language = "curl";

function formFor(card) {
  if (card.task === "chat" || card.task === "image-text-to-text") return chatForm;
  if (card.gives === "completion" && card.reads === "prompt") return completionForm;
  if (card.gives === "vector") return similarityForm;
  if (card.gives === "picture") return pictureForm;
  if (card.gives === "transcript") return speechForm;
  return predictForm;
}

// --- the last request as code ---

function showRequest(request) {
  last = request;
  at("request").hidden = false;
  showCode();
}

function showCode() {
  const write = language === "curl" ? curl : python;
  if (last) at("code").textContent = write(last, location.origin, Boolean(api.key));
  for (const name of ["curl", "python"]) at(`tab-${name}`).ariaSelected = String(name === language);
}

function choose(name) {
  language = name;
  showCode();
  at(`tab-${name}`).focus();
}

for (const name of ["curl", "python"]) at(`tab-${name}`).addEventListener("click", () => choose(name));
document.querySelector(".tabs").addEventListener("keydown", (event) => {
  if (["ArrowLeft", "ArrowRight"].includes(event.key)) choose(language === "curl" ? "python" : "curl");
});
at("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(at("code").textContent);
    at("copy").textContent = "Copied";
  } catch {
    at("copy").textContent = "Select and copy by hand";
  }
  setTimeout(() => { at("copy").textContent = "Copy"; }, 2000);
});

// --- light and dark ---

at("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

// --- what every form shares ---

function showNumbers(parts) {
  at("numbers").textContent = Object.entries(parts)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${name} ${value}`)
    .join(" · ");
}

// Runs what a form does: one at a time, the button becomes a stop button, failures are told where the answer would be.
function runner(button, output) {
  let running = null;
  const label = button.textContent;
  return async (work) => {
    if (running) {
      running.abort();
      return;
    }
    running = new AbortController();
    button.textContent = "Stop";
    output.ariaBusy = "true";
    showNumbers({});
    const began = performance.now();
    try {
      const numbers = (await work(running.signal)) || {};
      showNumbers({ latency: `${Math.round(performance.now() - began)} ms`, ...numbers });
    } catch (error) {
      if (error.name === "AbortError") showNumbers({ stopped: `after ${Math.round(performance.now() - began)} ms` });
      else output.prepend(el("p", { className: "error", role: "alert" }, error.param ? `${error.param}: ` : "", error.message));
    } finally {
      running = null;
      button.textContent = label;
      output.ariaBusy = "false";
    }
  };
}

// --- start ---

async function start() {
  at("state").textContent = "connecting";
  try {
    const [card] = await api.models();
    at("model").textContent = card.id;
    at("task").textContent = card.task;
    at("task").hidden = false;
    document.title = `${card.id} · Playground`;
    if (!card.ready) {
      at("state").textContent = "loading the model";
      setTimeout(start, RETRY_MILLISECONDS);
      return;
    }
    at("state").textContent = "ready";
    at("state").classList.add("good");
    fill(at("main"), formFor(card)({ card, api, runner, showNumbers }));
    document.body.dataset.ready = card.task;
  } catch (error) {
    at("state").textContent = error.status === 401 ? "needs an API key" : `not reachable: ${error.message}`;
    if (error.status !== 401) setTimeout(start, RETRY_MILLISECONDS);
  }
}

at("key").addEventListener("change", () => {
  api.key = at("key").value.trim();
  showCode();
  if (!document.body.dataset.ready) start();
});
start();
