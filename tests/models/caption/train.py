"""Trains demo-scene and writes its weights and model card into the checkout.

Scenes are drawn as they are needed, so none is seen twice. Each is encoded once and followed by several questions with
their answers in random order; only the answers count for the loss. The run writes a checkpoint every few minutes and
goes on from it, so it can be cut into parts of any length.
"""

import math
import os
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import LlavaConfig, LlavaForConditionalGeneration

from tests.models.build import cache_folder
from tests.models.caption.card import Figures, render_card
from tests.models.caption.dialogue import converse
from tests.models.caption.drawing import draw
from tests.models.caption.evaluate import measure_folder
from tests.models.caption.layout import (
    ASSISTANT,
    DEVIATION,
    END,
    IMAGE,
    IMAGE_SIZE,
    MEAN,
    PAD,
    PATCHES,
    USER,
    make_tokenizer,
    model_config,
)
from tests.models.caption.scenes import make_scene
from tests.models.caption.write import CARD, WEIGHTS, write_model

BATCH = 64
CARD_SCENES = 1_000
TURNS = 4
RATE = 1.5e-3
WARM_UP = 200
IGNORED = -100
CHECKPOINT_STEPS = 100


@dataclass
class Run:
    """A training under way."""

    model: LlavaForConditionalGeneration
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0


def train(*, seed: int, steps: int, budget: float, write: bool) -> None:
    """Go on from the checkpoint for `budget` seconds; after the last step measure, with `write` into the checkout."""
    scratch = cache_folder().parent / "training" / f"demo-scene-{seed}-{steps}"
    scratch.mkdir(parents=True, exist_ok=True)
    run = advance(seed=seed, steps=steps, scratch=scratch, budget=budget)
    if run.step < steps:
        Console().print(f"{run.step} of {steps} steps are done; call again to go on")
        return
    finish(run, seed=seed, steps=steps, scratch=scratch, write=write)


def finish(run: Run, *, seed: int, steps: int, scratch: Path, write: bool) -> None:
    """Measure the model as users get it, and with `write` replace the committed weights and card."""
    run.model.half().save_pretrained(scratch / "trained")
    weights = scratch / "trained" / "model.safetensors"
    folder = scratch / "demo-scene"
    folder.mkdir(exist_ok=True)
    write_model(weights, folder)
    score = measure_folder(folder, CARD_SCENES)
    figures = Figures(
        seed=seed,
        steps=steps,
        scenes=steps * BATCH,
        seconds=run.seconds,
        parameters=run.model.num_parameters(),
        captions=score.captions,
        answers=score.answers,
        held_out=score.scenes,
    )
    Console().print(figures)
    if write:
        shutil.copyfile(weights, WEIGHTS)
        CARD.write_text(render_card(figures), encoding="utf-8")


def advance(*, seed: int, steps: int, scratch: Path, budget: float) -> Run:
    """Train for `steps` in all or for `budget` seconds, from the checkpoint in `scratch` if there is one."""
    tokenizer = make_tokenizer()
    run = _resume(_begin(seed, tokenizer), scratch)
    began, before, losses = time.monotonic(), run.seconds, []
    run.model.train()
    while run.step < steps and run.seconds - before < budget:
        losses.append(_step(run, tokenizer, seed, steps))
        run.seconds = before + time.monotonic() - began
        if run.step % CHECKPOINT_STEPS == 0:
            Console().print(f"step {run.step}: loss {np.mean(losses[-CHECKPOINT_STEPS:]):.4f}, {run.seconds:.0f} s")
            _save(run, scratch)
    _save(run, scratch)
    return run


def _begin(seed: int, tokenizer: Tokenizer) -> Run:
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(LlavaConfig(**model_config(tokenizer))).float()
    decayed = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    rest = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    return Run(model, torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98)))


def _step(run: Run, tokenizer: Tokenizer, seed: int, steps: int) -> float:
    run.step += 1
    ramp = min(1.0, run.step / WARM_UP)
    decay = 0.5 * (1 + math.cos(math.pi * min(1.0, run.step / steps)))
    for group in run.optimizer.param_groups:
        group["lr"] = RATE * ramp * max(0.02, decay)
    pixels, ids, labels = make_batch(tokenizer, seed, run.step)
    logits = run.model(input_ids=ids, pixel_values=pixels, attention_mask=(ids != 0).long()).logits
    loss = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
    run.optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimizer.step()
    return float(loss.detach())


def make_batch(tokenizer: Tokenizer, seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return pixels [rows, 3, side, side], token ids [rows, longest] and labels of a step's scenes."""
    choose = random.Random(seed * 1_000_003 + step)
    images, rows = [], []
    for index in range(BATCH):
        scene = make_scene((seed * 100_000 + step) * 1000 + index)
        images.append(np.asarray(draw(scene, IMAGE_SIZE), dtype=np.float32))
        rows.append(_encode(tokenizer, converse(scene, choose, TURNS)))
    pixels = (np.stack(images) / 255 - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    width = max(len(ids) for ids, _ in rows)
    pad = tokenizer.token_to_id(PAD)
    ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows])
    labels = torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in rows])
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32)), ids, labels


def _encode(tokenizer: Tokenizer, turns: list[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Return the ids of a conversation that begins with an image, and labels for its answers."""
    ids: list[int] = []
    labels: list[int] = []
    for index, (question, answer) in enumerate(turns):
        image = IMAGE * PATCHES if index == 0 else ""
        asked = tokenizer.encode(f"{USER}{image}{question}{ASSISTANT}").ids
        told = tokenizer.encode(f"{answer}{END}").ids
        ids += asked + told
        labels += [IGNORED] * len(asked) + told
    return ids, labels


def _save(run: Run, scratch: Path) -> None:
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "step": run.step,
        "seconds": run.seconds,
    }
    torch.save(state, scratch / "checkpoint.new")
    os.replace(scratch / "checkpoint.new", scratch / "checkpoint")


def _resume(run: Run, scratch: Path) -> Run:
    path = scratch / "checkpoint"
    if path.is_file():
        state = torch.load(path)
        run.model.load_state_dict(state["model"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.step, run.seconds = state["step"], state["seconds"]
    return run
