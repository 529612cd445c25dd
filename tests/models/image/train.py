"""Trains demo-image and writes its weights, configuration and model card into the checkout.

First the autoencoder: its encoder shrinks a picture to 8 by 8, its decoder draws such a picture large. Then the text
encoder and the denoiser together, from pairs of a caption and a picture; every tenth caption is empty, which is what
guidance at generation time compares with. What is kept is a moving average of the weights.

The run can be interrupted: it keeps its state in the cache and goes on from there.
"""

import copy
import random
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from tests.models.build import build_model, cache_folder
from tests.models.image.assemble import CARD, export
from tests.models.image.captions import caption
from tests.models.image.card import Figures, render_card
from tests.models.image.evaluate import recognised
from tests.models.image.parts import make_parts, make_pipeline, make_scheduler
from tests.models.image.pictures import TRAINED, draw_large, load_pictures, shrink, vary

AUTOENCODER_STEPS = 600
DENOISER_STEPS = 3500
BATCH = 64
RATE = 8e-4
WARM_UP = 100
AVERAGE = 0.999
UNTOLD = 0.1
SAVE_EVERY = 250
TRAINED_PARTS = ("vae", "unet", "text_encoder")
CENTRE, SPREAD = 0.31, 0.35

console = Console(stderr=True)


@dataclass
class State:
    """Where a run is: steps that are done, and the seconds that they took."""

    autoencoder_steps: int = 0
    denoiser_steps: int = 0
    seconds: float = 0.0


class Run:
    """One training run, kept in a file."""

    def __init__(self, seed: int, seconds: float) -> None:
        torch.manual_seed(seed)
        self.path = cache_folder().parent / "training" / f"image-{seed}.pt"
        self.state = State()
        self.parts = make_parts()
        self.average = {name: copy.deepcopy(self.parts[name]) for name in ("unet", "text_encoder")}
        self.optimizers = {
            "vae": torch.optim.AdamW(self.parts["vae"].parameters(), lr=2e-3, weight_decay=0.0),
            "denoiser": torch.optim.AdamW(
                [*self.parts["unet"].parameters(), *self.parts["text_encoder"].parameters()], lr=RATE
            ),
        }
        digits, self.targets = load_pictures()
        self.pictures = draw_large(torch.from_numpy(digits[:TRAINED]))
        self._until = time.monotonic() + seconds
        self._began = time.monotonic()
        if self.path.is_file():
            self._load()
        self.generator = torch.Generator().manual_seed(seed + self.state.autoencoder_steps + self.state.denoiser_steps)
        self.choose = random.Random(seed + self.state.denoiser_steps)

    def out_of_time(self) -> bool:
        """Tell whether the run has to pause."""
        return time.monotonic() > self._until

    def batch(self) -> tuple[Tensor, list[int]]:
        """Return varied pictures and what they show."""
        chosen = torch.randint(0, TRAINED, (BATCH,), generator=self.generator)
        return vary(self.pictures[chosen], self.generator), [int(self.targets[index]) for index in chosen]

    def save(self) -> None:
        """Write everything that the run needs to go on."""
        now = time.monotonic()
        self.state.seconds += now - self._began
        self._began = now
        content = {
            "state": asdict(self.state),
            "parts": {name: self.parts[name].state_dict() for name in TRAINED_PARTS},
            "average": {name: part.state_dict() for name, part in self.average.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".part")
        torch.save(content, beside)
        beside.replace(self.path)

    def _load(self) -> None:
        content = torch.load(self.path, weights_only=True)
        self.state = State(**content["state"])
        for name, weights in content["parts"].items():
            self.parts[name].load_state_dict(weights)
        for name, weights in content["average"].items():
            self.average[name].load_state_dict(weights)
        for name, weights in content["optimizers"].items():
            self.optimizers[name].load_state_dict(weights)


def train(*, seed: int, seconds: float, write: bool) -> Figures | None:
    """Train, measure, and with `write` replace what is committed. None when the time was up before the end."""
    run = Run(seed, seconds)
    done = _fit_autoencoder(run) and _fit_denoiser(run)
    run.save()
    if not done:
        console.print(f"paused at {run.state}; start again to go on")
        return None
    parts = {**run.parts, **run.average}
    with tempfile.TemporaryDirectory() as scratch:
        folder = export(make_pipeline(parts), None if write else Path(scratch), Path(scratch) / "built")
        rate, held_out = recognised(folder, held_out=False), recognised(folder, held_out=True)
    figures = Figures(
        seed=seed,
        steps=run.state.denoiser_steps,
        seconds=run.state.seconds,
        parameters=sum(weight.numel() for name in TRAINED_PARTS for weight in parts[name].parameters()),
        recognised=rate,
        recognised_held_out=held_out,
    )
    if write:
        CARD.write_text(render_card(figures), encoding="utf-8")
        build_model("demo-image")
    console.print(figures)
    return figures


def _fit_autoencoder(run: Run) -> bool:
    """Train the autoencoder; False when the time is up."""
    vae, optimizer, state = run.parts["vae"], run.optimizers["vae"], run.state
    while state.autoencoder_steps < AUTOENCODER_STEPS:
        if run.out_of_time():
            return False
        _set_rate(optimizer, 2e-3, state.autoencoder_steps, AUTOENCODER_STEPS)
        pictures, _ = run.batch()
        latents = to_latents(pictures)
        wanted = 2 * pictures.expand(-1, 3, -1, -1) - 1
        noise = 0.05 * torch.randn(latents.shape, generator=run.generator)
        loss = l1_loss(vae.decode(latents + noise).sample, wanted)
        encoded = vae.encode(wanted).latent_dist
        loss = loss + mse_loss(encoded.mean, latents) + 0.01 * (encoded.logvar + 6).square().mean()
        _descend(loss, optimizer, vae)
        state.autoencoder_steps += 1
        _report(run, "autoencoder", state.autoencoder_steps, loss)
    return True


def _fit_denoiser(run: Run) -> bool:
    """Train text encoder and denoiser; False when the time is up."""
    schedule, optimizer, state = make_scheduler(), run.optimizers["denoiser"], run.state
    while state.denoiser_steps < DENOISER_STEPS:
        if run.out_of_time():
            return False
        _set_rate(optimizer, RATE, state.denoiser_steps, DENOISER_STEPS)
        pictures, digits = run.batch()
        captions = ["" if run.choose.random() < UNTOLD else caption(digit, run.choose) for digit in digits]
        loss = _denoising_loss(run, schedule, to_latents(pictures), captions)
        _descend(loss, optimizer, run.parts["unet"], run.parts["text_encoder"])
        for name, average in run.average.items():
            _follow(average, run.parts[name], min(AVERAGE, state.denoiser_steps / (state.denoiser_steps + 20)))
        state.denoiser_steps += 1
        _report(run, "denoiser", state.denoiser_steps, loss)
    return True


def _denoising_loss(run: Run, schedule: Any, latents: Tensor, captions: list[str]) -> Tensor:
    tokens = run.parts["tokenizer"](captions, padding="max_length", return_tensors="pt").input_ids
    noise = torch.randn(latents.shape, generator=run.generator)
    times = torch.randint(0, schedule.config.num_train_timesteps, (len(latents),), generator=run.generator)
    noisy = schedule.add_noise(latents, noise, times)
    read = run.parts["text_encoder"](tokens)[0]
    return mse_loss(run.parts["unet"](noisy, times, encoder_hidden_states=read).sample, noise)


def to_latents(pictures: Tensor) -> Tensor:
    """Return the latent pictures (n, 1, 8, 8), centred and with a spread of about 1."""
    return (shrink(pictures) - CENTRE) / SPREAD


def _set_rate(optimizer: torch.optim.Optimizer, rate: float, step: int, steps: int) -> None:
    """Rise over the first steps, then fall evenly to almost nothing."""
    for group in optimizer.param_groups:
        group["lr"] = rate * min(1, (step + 1) / WARM_UP, 0.02 + (steps - step) / steps)


def _descend(loss: Tensor, optimizer: torch.optim.Optimizer, *parts: nn.Module) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([weight for part in parts for weight in part.parameters()], 1.0)
    optimizer.step()


@torch.no_grad()
def _follow(average: nn.Module, part: nn.Module, share: float) -> None:
    for mean, weight in zip(average.parameters(), part.parameters(), strict=True):
        mean.lerp_(weight, 1 - share)


def _report(run: Run, what: str, step: int, loss: Tensor) -> None:
    if step % SAVE_EVERY == 0:
        run.save()
        console.print(f"{what} {step}: loss {loss.item():.4f}, {run.state.seconds:.0f} s")
