// Sound from the microphone or a file. What was recorded becomes WAV, 16 kHz, one channel; files stay as they are.

import { el, field, fill } from "./dom.js";

const RATE = 16000;
const SLICE = 200; // milliseconds between pieces of a recording; there is nothing to stop before the first

async function resampled(blob) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const decoded = await context.decodeAudioData(await blob.arrayBuffer());
  const target = new OfflineAudioContext(1, Math.ceil(decoded.duration * RATE), RATE);
  const source = target.createBufferSource();
  source.buffer = decoded;
  source.connect(target.destination);
  source.start();
  return (await target.startRendering()).getChannelData(0);
}

function wav(samples) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const word = (at, text) => [...text].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, index) => view.setInt16(44 + 2 * index, 32767 * Math.max(-1, Math.min(1, sample)), true));
  return new Blob([view.buffer], { type: "audio/wav" });
}

function recorder(onDone, onError) {
  let running = null;
  const button = el("button", { type: "button", className: "quiet" }, "Record");
  button.addEventListener("click", async () => {
    if (running) {
      running.stop();
      return;
    }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const parts = [];
      running = new MediaRecorder(stream);
      running.addEventListener("dataavailable", (event) => {
        if (event.data.size === 0) return;
        parts.push(event.data);
        if (running.state !== "recording") return;
        button.textContent = "Stop recording";
        button.disabled = false;
      });
      running.addEventListener("stop", async () => {
        for (const track of stream.getTracks()) track.stop();
        const type = running.mimeType;
        running = null;
        button.textContent = "Record";
        try {
          onDone(wav(await resampled(new Blob(parts, { type }))));
        } catch (error) {
          onError(`The recording cannot be used: ${error.message}`);
        }
      });
      running.start(SLICE);
      button.textContent = "Starting";
      button.disabled = true;
    } catch (error) {
      running = null;
      onError(`The microphone cannot be used here: ${error.message}`);
    }
  });
  return button;
}

function asUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}

export function audioInput(title) {
  let sound = null;
  let url;
  const player = el("audio", { controls: true, hidden: true, ariaLabel: "The sound that is sent" });
  const trouble = el("p", { className: "error", role: "alert", hidden: true });
  const take = async (blob) => {
    trouble.hidden = true;
    sound = blob;
    if (player.src) URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(blob);
    player.hidden = false;
    url = await asUrl(blob);
  };
  const tell = (message) => {
    fill(trouble, message);
    trouble.hidden = false;
  };
  const file = el("input", { type: "file", accept: "audio/*,.wav,.flac,.ogg,.mp3", className: "file" });
  file.addEventListener("change", () => file.files[0] && take(file.files[0]));
  return {
    node: el("div", {}, field(title, file), el("div", { className: "row" }, recorder(take, tell)), trouble, player),
    blob: () => sound,
    read: () => url,
    focus: () => file.focus(),
  };
}
