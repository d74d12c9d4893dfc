"""Videos: what `streetvision predict` does with them, and `streetvision search`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from streetvision_core.cli._output import OK, emit, say, stderr, stdout
from streetvision_core.cli._progress import EVERY_SECONDS

if TYPE_CHECKING:
    from streetvision_core.cascade.engine import Cascade
    from streetvision_core.cascade.video import Progress
    from streetvision_core.images.video import Video
    from streetvision_core.settings import Settings

_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = 60


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog="Examples:  streetvision search drive.mp4   ·   streetvision search drive.mp4 --like cones.jpg --json"
    )(search)


def search(
    video: Annotated[Path, typer.Argument(help="A video file, of up to four hours.")],
    like: Annotated[list[Path] | None, typer.Option(help="An image that shows what to look for; repeatable.")] = None,
    text: Annotated[str, typer.Option(help="Words that say what to look for.")] = "",
    provider: Annotated[Literal["local", "twelvelabs"], typer.Option(help="Who searches.")] = "local",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    profile: Annotated[str, typer.Option(help="Settings profile; empty takes SV_PROFILE or embedded.")] = "",
) -> None:
    """Finds the stretches of a long video that match, and says of each whether it shows road work.

    With neither --like nor --text it looks for road work. The index is kept, so a second search is quick.
    """
    from streetvision_core.cli._first import first_version
    from streetvision_core.images.decode import read_image
    from streetvision_core.images.video import open_video
    from streetvision_core.learning.versions import load_cascade
    from streetvision_core.learning.videos import search_video
    from streetvision_core.models.factory import load_models
    from streetvision_core.registry.versions import open_registry
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    opened, registry = open_video(video, limits=settings.video), open_registry(settings)
    first_version(settings, registry)
    cascade = load_cascade(registry, settings, load_models(settings))
    with _progress(opened) as progress:
        examples = tuple(read_image(path, settings.decode) for path in like or ())
        answer = search_video(opened, cascade, settings, examples, text, provider, progress).to_dict()
    if as_json:
        emit(answer)
    else:
        show(answer)
    raise typer.Exit(OK)


def watch(path: Path, settings: Settings, cascade: Cascade, evidence: bool) -> dict[str, Any]:
    """Answers one video.

    Raises:
        VideoError: it cannot be read.
        MissingExtraError: PyAV is not installed.
    """
    from streetvision_core.cascade.video import predict_video
    from streetvision_core.images.video import open_video
    from streetvision_core.learning.videos import video_folder

    video = open_video(path, limits=settings.video)
    with _progress(video) as progress:
        answer = predict_video(video, cascade, store=video_folder(settings), progress=progress)
    return answer.to_dict(evidence)


def show(answer: dict[str, Any]) -> None:
    """One video's answer, as a line over time and a table."""
    from rich.markup import escape
    from rich.table import Table

    said = "[bold dark_orange]road work[/]" if answer["roadwork"] else "no road work seen"
    stdout.print(f"{escape(answer['source'])}: {said}, {answer['seconds']:.1f} s, by {answer['mode']}")
    stdout.print(f"  0 s {_line(answer)} {answer['seconds']:.0f} s", highlight=False)
    table = Table()
    for name in ("from s", "to s", "score", "peak s"):
        table.add_column(name, justify="right")
    for segment in answer["segments"]:
        table.add_row(*(f"{segment[k]:.2f}" for k in ("start_seconds", "end_seconds", "p_roadwork", "peak_seconds")))
    if answer["segments"]:
        stdout.print(table)
    for note in answer["notes"]:
        say(f"  {note}")


def _line(answer: dict[str, Any]) -> str:
    """The smoothed p over time; a dot where nothing was answered."""
    cells = []
    for i in range(_COLUMNS):
        at = (i + 0.5) / _COLUMNS * answer["seconds"]
        nearest = min(answer["timeline"], key=lambda moment: abs(moment["at_seconds"] - at))
        seen = any(start <= at <= end for start, end in answer["examined"])
        cells.append(_BARS[round(nearest["smoothed"] * (len(_BARS) - 1))] if seen else "·")
    return "".join(cells)


@contextmanager
def _progress(video: Video) -> Iterator[Progress]:
    from rich.progress import Progress as Bar

    if not stderr.is_terminal:
        yield _lines(video)
        return
    with Bar(console=stderr, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def told(what: str, seconds: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=video.info.seconds)
            bar.update(tasks[what], completed=seconds)

        yield told


def _lines(video: Video) -> Progress:
    """Progress where no terminal can show a bar: a line every few seconds."""
    last = time.monotonic()

    def told(what: str, seconds: float) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_SECONDS:
            last = time.monotonic()
            say(f"{video.name}: {what}, {seconds:.0f} of {video.info.seconds:.0f} s")

    return told
