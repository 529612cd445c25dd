"""Command line of the demo models: `python -m tests.models build [NAME...]`, `train-sentiment`, `list`."""

import sys

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


if __name__ == "__main__":
    main()
