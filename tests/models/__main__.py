"""Command line of the demo models: `python -m tests.models build [NAME...]`, `list`, `train-...`."""

import sys
from importlib import import_module

import click

from tests.models.build import MODELS, BuildError, build_model, cache_folder


@click.group()
def main() -> None:
    """Make the demo models in the cache."""


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def build(names: tuple[str, ...]) -> None:
    """Make the named demo models, all of them without a name; models that are there already take no time."""
    for name in names or tuple(MODELS):
        try:
            click.echo(build_model(name))
        except (BuildError, KeyError) as error:
            click.echo(f"error: {name}: {error.args[0]}", err=True)
            sys.exit(1)


@main.command("list")
def list_models() -> None:
    """Print the demo models and where they lie, or would lie."""
    for name, recipe in MODELS.items():
        click.echo(f"{name}\t{recipe.summary}\t{cache_folder() / name}")


@main.command("train-sentiment")
@click.option("--seed", default=17, show_default=True, help="Seed of the first run; each later run adds one.")
@click.option("--minutes", default=60.0, show_default=True, help="Time after which to stop; called again, it goes on.")
@click.option("--dry-run", is_flag=True, help="Train and measure, but leave the committed weights alone.")
def train_sentiment(seed: int, minutes: float, dry_run: bool) -> None:
    """Train demo-sentiment again and write its weights and figures into the checkout (needs torch)."""
    from tests.models.sentiment.train import train  # noqa: PLC0415 - torch is not among the tools

    train(seed=seed, seconds=minutes * 60, store=cache_folder().parent / "training", write=not dry_run)


@main.command("train-vision")
@click.argument("model", type=click.Choice(["digits", "detect", "segment"]))
@click.option("--seed", default=17, show_default=True, help="Seed of the first weights.")
@click.option("--minutes", default=30.0, show_default=True, help="Time after which to stop; called again, it goes on.")
@click.option("--dry-run", is_flag=True, help="Train and measure, but leave the committed weights alone.")
def train_vision(model: str, seed: int, minutes: float, dry_run: bool) -> None:
    """Train demo-MODEL again and write its weights and card into the checkout (needs torch)."""
    parts = {name: import_module(f"tests.models.{model}.{name}") for name in ("train", "evaluate", "card")}
    from tests.models.publishing import train_and_publish  # noqa: PLC0415 - torch is not among the tools

    train_and_publish(
        f"demo-{model}",
        import_module(f"tests.models.{model}").MODEL,
        parts["train"].train,
        parts["evaluate"].measure,
        parts["card"].CARD,
        seed=seed,
        minutes=minutes,
        write=not dry_run,
    )


@main.command("train-ner")
@click.option("--seed", default=17, show_default=True, help="Seed of the sentences and of the head's first weights.")
@click.option("--dry-run", is_flag=True, help="Train and measure, but leave the committed weights alone.")
def train_ner(seed: int, dry_run: bool) -> None:
    """Train demo-ner again and write its weights and figures into the checkout (needs torch)."""
    from tests.models.ner.train import train  # noqa: PLC0415 - torch is not among the tools

    train(seed=seed, write=not dry_run)


@main.command("train-speech")
@click.option("--seed", default=5, show_default=True, help="Seed of the sentences, the voices and the first weights.")
@click.option("--minutes", default=60.0, show_default=True, help="Stop after so long; the next call goes on.")
@click.option("--dry-run", is_flag=True, help="Train and measure, but leave the committed weights alone.")
def train_speech(seed: int, minutes: float, dry_run: bool) -> None:
    """Train demo-speech again and write its weights and figures into the checkout (needs torch and espeak-ng)."""
    from tests.models.speech.train import train  # noqa: PLC0415 - torch is not among the tools

    if not train(seed=seed, minutes=minutes, store=cache_folder().parent / "training-speech", write=not dry_run):
        click.echo("not complete yet; run the same command again")


@main.command("train-image")
@click.option(
    "--seed", default=17, show_default=True, help="Seed of the first weights and of all that is drawn by lot."
)
@click.option("--minutes", default=60.0, show_default=True, help="Time after which to stop; called again, it goes on.")
@click.option("--dry-run", is_flag=True, help="Train and measure, but leave the committed weights alone.")
def train_image(seed: int, minutes: float, dry_run: bool) -> None:
    """Train demo-image again and write its weights and card into the checkout (needs torch)."""
    from tests.models.image.train import train  # noqa: PLC0415 - torch is not among the tools

    train(seed=seed, seconds=minutes * 60, write=not dry_run)


@main.command("train-scene")
@click.option("--seed", type=click.IntRange(1), default=17, show_default=True, help="Seed of weights and scenes.")
@click.option("--steps", default=6_000, show_default=True, help="Steps of the whole training.")
@click.option("--minutes", default=600.0, help="Stop after so many minutes; a later call goes on from there.")
@click.option("--dry-run", is_flag=True, help="Train and measure, but leave the committed weights alone.")
def train_scene(seed: int, steps: int, minutes: float, dry_run: bool) -> None:
    """Train demo-scene again and write its weights and figures into the checkout (needs torch; under an hour)."""
    from tests.models.caption.train import train  # noqa: PLC0415 - torch is not among the tools

    train(seed=seed, steps=steps, budget=60 * minutes, write=not dry_run)


if __name__ == "__main__":
    main()
