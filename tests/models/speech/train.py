"""Trains demo-speech and writes its weights and model card into the checkout.

Sequences of digits are spoken by some fifty voices; other voices are kept for measuring. A run may be shorter than the
training: it stops after some minutes and goes on from its checkpoint when it is started again. The first steps see
short sequences only, from which the alignment is learned sooner; the last ones hear every recording faster or slower
than it was, which moves its formants as another speaker would.
"""

import math
import time
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import save_file
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from tests.models.speech.card import Figures, render_card
from tests.models.speech.recipe import CARD, CONFIG, RATE, VOCABULARY, WEIGHTS
from tests.models.speech.synthesis import HELD_OUT, TRAINED, draw_digits, held_out, samples_of, speak

STEPS = 2_700
STRETCHED_FROM = 1_900
SHORT_STEPS = 300
BATCH = 16
LEARNING_RATE = 1.5e-3
WARM_UP = 100
RECORDINGS = 5_000


def train(*, seed: int, minutes: float, store: Path, write: bool) -> bool:
    """Train for some minutes; True when the training is complete, measured and, with `write`, committed."""
    store.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * minutes
    texts, waves = _recordings(store / f"recordings-{seed}.npz", seed)
    torch.manual_seed(seed)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**CONFIG))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate)
    checkpoint = store / f"checkpoint-{seed}.pt"
    step, seconds = 0, 0.0
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)
        step, seconds = saved["step"], saved["seconds"]
        for part, name in ((model, "model"), (optimizer, "optimizer"), (schedule, "schedule")):
            part.load_state_dict(saved[name])
    began, losses = time.monotonic(), []
    while step < STEPS and time.monotonic() < deadline:
        losses.append(_learn(model, optimizer, _draw(texts, waves, seed, step), seed + step))
        schedule.step()
        step += 1
        if step % 50 == 0:
            Console().print(f"step {step}: loss {np.mean(losses[-50:]):.3f}")
    seconds += time.monotonic() - began
    torch.save(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "step": step,
            "seconds": seconds,
        },
        checkpoint,
    )
    figures = _measure(model, seed, seconds)
    Console().print(figures)
    if step < STEPS:
        return False
    if write:
        tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
        save_file(tensors, WEIGHTS)
        WEIGHTS.chmod(0o644)
        CARD.write_text(render_card(figures), encoding="utf-8")
    return True


def _rate(step: int) -> float:
    """Rise linearly, then fall along a cosine to a fiftieth."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.02 + 0.49 * (1 + math.cos(math.pi * (step - WARM_UP) / (STEPS - WARM_UP)))


def _recordings(path: Path, seed: int) -> tuple[list[str], list[NDArray[np.int16]]]:
    """Speak the training sequences, once; later runs read them."""
    utterances = draw_digits(RECORDINGS, seed, TRAINED)
    if not path.is_file():
        waves = [(samples_of(speak(each), RATE) * 32767).astype(np.int16) for each in utterances]
        np.savez(path, lengths=[len(wave) for wave in waves], samples=np.concatenate(waves))
    saved = np.load(path)
    ends = np.cumsum(saved["lengths"])
    return [each.text for each in utterances], np.split(saved["samples"], ends[:-1])


def _draw(
    texts: list[str], waves: list[NDArray[np.int16]], seed: int, step: int
) -> list[tuple[str, NDArray[np.float32]]]:
    """Choose a batch of recordings of like length, made louder or softer and a little noisy."""
    choose = np.random.default_rng((seed, step))
    short = step < SHORT_STEPS
    known = [index for index, text in enumerate(texts) if not short or len(text.split()) <= 3]
    order = sorted(choose.choice(known, 4 * BATCH, replace=False), key=lambda index: len(waves[index]))
    start = int(choose.integers(0, 3 * BATCH + 1))
    batch = []
    for index in order[start : start + BATCH]:
        wave = waves[index].astype(np.float32) / 32768
        if step >= STRETCHED_FROM:
            places = np.arange(0, len(wave) - 1, float(choose.uniform(0.85, 1.18)))
            wave = np.interp(places, np.arange(len(wave)), wave).astype(np.float32)
        quiet = choose.integers(0, RATE // 4, 2)
        wave = np.pad(wave, (int(quiet[0]), int(quiet[1])))
        noise = choose.normal(0, float(np.exp(choose.uniform(np.log(1e-4), np.log(0.02)))), len(wave))
        batch.append((texts[index], (wave + noise).astype(np.float32)))
    return batch


def to_batch(waves: list[NDArray[np.float32]]) -> tuple[Any, Any]:
    """Normalise and pad waves as the feature extractor does; return values and mask, [rows, samples]."""
    longest = max(len(wave) for wave in waves)
    values, mask = np.zeros((len(waves), longest), np.float32), np.zeros((len(waves), longest), np.int64)
    for row, wave in enumerate(waves):
        values[row, : len(wave)] = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        mask[row, : len(wave)] = 1
    return torch.from_numpy(values), torch.from_numpy(mask)


def _learn(model: Any, optimizer: Any, batch: list[tuple[str, NDArray[np.float32]]], seed: int) -> float:
    model.train()
    torch.manual_seed(seed)
    values, mask = to_batch([wave for _, wave in batch])
    labels = [[VOCABULARY[letter if letter != " " else "|"] for letter in text] for text, _ in batch]
    width = max(len(row) for row in labels)
    padded = torch.tensor([row + [-100] * (width - len(row)) for row in labels])
    loss = model(values, attention_mask=mask, labels=padded).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss)


def _measure(model: Any, seed: int, seconds: float) -> Figures:
    """Measure the word error rate on voices that the training never heard, in float16-rounded weights."""
    rounded = Wav2Vec2ForCTC(Wav2Vec2Config(**CONFIG)).eval()
    rounded.load_state_dict({name: tensor.half().float() for name, tensor in model.state_dict().items()})
    utterances = held_out()
    said = []
    with torch.inference_mode():
        for utterance in utterances:
            values, mask = to_batch([samples_of(speak(utterance), RATE)])
            said.append(read_letters(rounded(values, attention_mask=mask).logits[0].argmax(-1).tolist()))
    return Figures(
        seed=seed,
        recordings=RECORDINGS,
        voices=len(TRAINED),
        steps=STEPS,
        seconds=seconds,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        word_error_rate=float(jiwer.wer([each.text for each in utterances], said)),
        measured=len(utterances),
        held_out_voices=len(HELD_OUT),
    )


def read_letters(ids: list[int]) -> str:
    """Collapse repeats and drop blanks (Graves et al. 2006)."""
    names = {index: token for token, index in VOCABULARY.items()}
    kept = [names[index] for place, index in enumerate(ids) if index > 1 and (place == 0 or ids[place - 1] != index)]
    return " ".join("".join(kept).replace("|", " ").split())
