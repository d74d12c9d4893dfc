"""`streetvision annotate`, `synthesize` and `teach`: the data engine's steps that a person starts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision_core.cli._learning import DayText, Json, Profile
from streetvision_core.cli._output import emit, say
from streetvision_core.errors import DataError

if TYPE_CHECKING:
    from streetvision_core.models.detectors import Detector
    from streetvision_core.settings import Settings

Photos = Annotated[Path | None, typer.Option(help="Folder with roadwork/ and none/ to start from.")]
Usd = Annotated[float, typer.Option(min=0.0, help="Most US dollars, all runs together; remembered on disk.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        epilog="Examples:  streetvision annotate --day 2026-11-23   ·   streetvision annotate --zero-shot FOLDER --json"
    )(annotate)
    app.command(
        epilog="Examples:  streetvision synthesize --plan-only   ·   streetvision synthesize --generator sdxl"
        "   ·   streetvision synthesize --generator hosted --url URL --usd-per-image 0.04 --budget-usd 2"
    )(synthesize)
    app.command(
        epilog="Example:  streetvision teach --url http://localhost:8000/v1 --model NAME --budget-usd 1 --photos FOLDER"
    )(teach)


def annotate(
    day: DayText = "",
    zero_shot: Annotated[
        list[Path] | None, typer.Option(help="Folder of an MM-Grounding-DINO or LLMDet checkpoint; repeatable.")
    ] = None,
    segmenter: Annotated[Path | None, typer.Option(help="Folder of a SAM 3 checkpoint.")] = None,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Weighs what all sources say of the day's mined frames; says which labels need no person, and queues the rest."""
    from streetvision_core.cli._night import open_night
    from streetvision_core.learning.finding import find_objects, look_at_early_answers, weak_sources
    from streetvision_core.learning.mine import read_frames
    from streetvision_core.learning.weak import QUEUE_FILE, label_weakly, load_reviewed, save_weak
    from streetvision_core.mining.objects import OBJECTS_FILE, load_objects, save_objects

    with open_night(profile, day) as night:
        rows, folder, models = night.mined().rows, night.folder, night.observer.models
        frames, before = list(read_frames(rows, night.log, night.settings.decode)), load_objects(folder / OBJECTS_FILE)
        finders, seen = _finders(zero_shot or [], segmenter), look_at_early_answers(rows, frames, models, before)
        with _progress("looking") as progress:
            found = find_objects(rows, frames, before, seen, finders, progress)
        more = weak_sources(rows, found, [finder.name for finder in finders])
        reviewed = load_reviewed(night.settings.paths.resolve("data"), folder.name, night.store.labels())
        weak = label_weakly(rows, frames, reviewed, night.settings.annotate.precision, models.vlm, more)
    save_objects(folder / OBJECTS_FILE, found)
    save_weak(weak, folder)
    if as_json:
        emit(weak.summary())
        return
    summary = weak.summary()
    for source in (source for source in summary["sources"] if source["answered"]):
        interval = f"[{source['low']}, {source['high']}] of {source['answered']} reviewed frames"
        say(f"{source['name']:14} right in {source['accuracy']} {interval}")
    say(f"taken without a person: {summary['accepted']} of {summary['frames']} ({summary['certificate']})")
    say(f"for a person, most informative first: {folder / QUEUE_FILE} ({summary['queued']} frames)")


def synthesize(
    generator: Annotated[
        str, typer.Option(help="street-world (rendered), sdxl, or hosted (e.g. Cosmos).")
    ] = "street-world",
    images: Annotated[int, typer.Option(min=2, help="How many, shared out among the day's failure modes.")] = 40,
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Say what it would take, draw nothing.")] = False,
    photos: Photos = None,
    url: Annotated[str, typer.Option(help="Base address of a hosted generator's API.")] = "",
    model: Annotated[str, typer.Option(help="Its name, or the name of SDXL in the model store.")] = "",
    usd_per_image: Annotated[float, typer.Option(min=0.0, help="What the provider charges.")] = 0.0,
    budget_usd: Usd = 0.0,
    day: DayText = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Makes images for what the day was worst at; with the cost and time first, resumable.

    The API key of a hosted generator is read from SYNTH_API_KEY.
    """
    from dataclasses import asdict

    from streetvision_core.cli._night import open_night
    from streetvision_core.learning import drawing
    from streetvision_core.learning.mine_night import challenge_rows
    from streetvision_core.learning.synthesize import plan_synthesis, save_synthetic
    from streetvision_core.learning.synthesize import synthesize as render
    from streetvision_core.loop.demo import day_number
    from streetvision_core.loop.workspace import parse_night
    from streetvision_core.mining import diffusion

    if generator not in ("street-world", "sdxl", "hosted"):
        raise DataError(f"the generator {generator!r}", "street-world, sdxl, hosted", "choose one of them")
    with open_night(profile, day) as night:
        plan = plan_synthesis(night.mined(), images)
    settings, folder, number = night.settings, night.folder, day_number(parse_night(day)[0])
    shown: dict[str, Any] = {"plan": plan.to_dict()}
    if generator == "street-world":
        if not plan_only:
            made = render(plan, night.observer, number, settings.seed)
            save_synthetic(made, folder)
            shown["rows"] = len(made.table)
        _show(shown, as_json)
        return
    start, write = drawing.start_photos(settings, photos), drawing.prompt_writer(settings)
    planned = drawing.plan_drawing(plan, start, write, number, settings.seed)
    cost = diffusion.estimate(planned, folder / "generated", usd_per_image)
    shown["estimate"] = asdict(cost)
    if not plan_only:
        say(f"{cost.images} images to draw, {cost.seconds or 'unknown'} seconds, {cost.usd} USD")
        draws = _generator(settings, generator, model, url, usd_per_image, budget_usd)
        gate = drawing.quality_gate(settings, challenge_rows(settings, night.observer))
        with _progress("drawing") as progress:
            records = drawing.record_drawn(planned, draws, gate, night.observer, folder, progress)
        shown |= {"drawn": len(records), "kept": sum(not record["refusal"] for record in records)}
        shown["folder"] = str(folder / "generated")
    _show(shown, as_json)


def teach(
    url: Annotated[str, typer.Option(help="Base address of an OpenAI-compatible API.")],
    model: Annotated[str, typer.Option(help="The model's name there.")],
    photos: Annotated[Path, typer.Option(help="Folder of images to label.")],
    budget_usd: Usd = 0.0,
    input_usd: Annotated[float, typer.Option(min=0.0, help="US dollars per million input tokens.")] = 0.0,
    output_usd: Annotated[float, typer.Option(min=0.0, help="US dollars per million output tokens.")] = 0.0,
    day: DayText = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Has a large model label images; pseudo-labels train with their own small share of the weight.

    The API key is read from TEACHER_API_KEY. Writes `pseudo.npz`, `pseudo.jsonl` and `doe1.json` into the day's folder.
    """
    from streetvision_core.data.observe import Observer
    from streetvision_core.data.sources import FolderSource
    from streetvision_core.learning import drawing
    from streetvision_core.loop.place import night_folder
    from streetvision_core.mining.spending import Budget
    from streetvision_core.mining.teacher import Prices, Teacher, write_doe1, write_plain
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    data, folder = settings.paths.resolve("data"), night_folder(settings, day)
    budget = Budget(data / "spending" / "teacher.json", budget_usd)
    prices, key = Prices(input_usd, output_usd), os.environ.get("TEACHER_API_KEY", "")
    teacher = Teacher(url, model, budget, prices, data / "teacher", key)
    images = FolderSource(photos).images()
    frames = [(image.path.relative_to(photos).as_posix(), image.group, image.read()) for image in images]
    with _progress("asking") as progress:
        labels, table = drawing.teach(frames, teacher, Observer.of(settings), folder.name, progress)
    drawing.save_taught(table, folder)
    write_plain(labels, folder / "pseudo.jsonl")
    write_doe1(labels, [str(image.path.resolve()) for image in images], folder / "doe1.json")
    roadwork = sum(label.label for label in labels)
    _show({"labelled": len(labels), "roadwork": roadwork, "spent_usd": round(budget.spent_usd, 4)}, as_json)


def _finders(zero_shot: list[Path], segmenter: Path | None) -> list[Detector]:
    """The models that look for what the phrases name."""
    from streetvision_core.models.concepts import GroundingDetector, Sam3Segmenter

    made: list[Detector] = [GroundingDetector(folder, folder.name) for folder in zero_shot]
    made += [Sam3Segmenter(segmenter, segmenter.name)] if segmenter is not None else []
    return made


def _generator(settings: Settings, kind: str, model: str, url: str, usd_per_image: float, budget_usd: float) -> Any:
    if kind == "sdxl":
        from streetvision_core.models.generator import from_settings

        return from_settings(model or "stabilityai/stable-diffusion-xl-base-1.0", settings)
    from streetvision_core.mining.cosmos import HostedGenerator
    from streetvision_core.mining.spending import Budget

    if not url or not model:
        raise DataError("a hosted generator without address or name", "--url and --model", "name both")
    budget = Budget(settings.paths.resolve("data") / "spending" / "generator.json", budget_usd)
    return HostedGenerator(url, model, budget, usd_per_image, os.environ.get("SYNTH_API_KEY", ""))


@contextmanager
def _progress(caption: str) -> Iterator[Callable[[int, int], None]]:
    from streetvision_core.training.heads import progress_bar

    with progress_bar(caption) as progress:
        yield progress


def _show(value: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit(value)
    else:
        say(json.dumps(value, indent=2, default=str))
