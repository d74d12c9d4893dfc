"""Makes and measures the shipped detectors: `python -m streetvision_core.training.detectors --help`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track as rich_track

from streetvision_core.settings import load_settings
from streetvision_core.training.detectors import making
from streetvision_core.training.detectors._recipe import FULL, QUICK, Recipe

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Trains the two stage-2 detectors, puts their weights into the package and measures them.\n\n"
    "Examples:\n\n"
    "    python -m streetvision_core.training.detectors dense --cache data/cache/detectors --ship\n\n"
    "    python -m streetvision_core.training.detectors yolo --cache data/cache/detectors --minutes 45 --ship\n\n"
    "    python -m streetvision_core.training.detectors measure\n",
)

Cache = Annotated[Path | None, typer.Option(help="Pools, features, checkpoints; default data/cache/detectors.")]
Streets = Annotated[Path | None, typer.Option(help="The real photos; default from the settings (SV_PATHS__STREETS).")]
Quick = Annotated[bool, typer.Option(help="Small data, two minutes; the weights are worth nothing.")]
Ship = Annotated[bool, typer.Option(help="Put the weights, card and manifest into the package.")]


def bar(items: Iterable[Any], title: str) -> Iterable[Any]:
    """A progress bar on the terminal."""
    return rich_track(list(items), description=title)


@app.command()
def dense(cache: Cache = None, streets: Streets = None, quick: Quick = False, ship: Ship = False) -> None:
    """Trains the dense head on frozen EfficientNet-Lite2 maps."""
    path = making.dense(_streets(streets), _cache(cache), _recipe(quick), bar, ship=ship)
    typer.echo(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")


@app.command()
def yolo(
    cache: Cache = None,
    streets: Streets = None,
    quick: Quick = False,
    ship: Ship = False,
    minutes: Annotated[float | None, typer.Option(help="Stop after this long; else after the recipe's steps.")] = None,
) -> None:
    """Trains YOLO12-n from scratch; a second call goes on from the checkpoint."""
    path = making.yolo(_streets(streets), _cache(cache), _recipe(quick), bar, ship=ship, minutes=minutes)
    typer.echo(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")


@app.command()
def measure(
    streets: Streets = None,
    out: Annotated[Path, typer.Option(help="Folder of detectors.json and detectors.md.")] = Path("docs/benchmarks"),
    every: Annotated[int, typer.Option(min=1, help="Take each n-th image of every set.")] = 1,
    held_out: Annotated[int, typer.Option(min=1, help="Rendered frames to measure on.")] = FULL.held_out,
) -> None:
    """Measures the shipped detectors on photos they never saw."""
    table = making.measure(_streets(streets), out, held_out, bar, every=every)
    typer.echo(table)


def _recipe(quick: bool) -> Recipe:
    return QUICK if quick else FULL


def _streets(given: Path | None) -> Path:
    return given if given is not None else load_settings().paths.resolve("streets")


def _cache(given: Path | None) -> Path:
    return given if given is not None else load_settings().paths.resolve("data") / "cache" / "detectors"


if __name__ == "__main__":
    app()
