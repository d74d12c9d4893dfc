"""The two pipelines, and what happens around them: the page, the weekly sum, the notification.

The nightly order is not the reading order: a night answers and mines before it trains.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from streetvision_core.loop.notify import notify, notify_age
from streetvision_core.loop.pipeline import Pipeline, PipelineResult, run_pipeline
from streetvision_core.loop.progress import Progress
from streetvision_core.loop.report.headlines import headline
from streetvision_core.loop.report.render import write_day, write_week
from streetvision_core.loop.steps import Step, StepResult
from streetvision_core.loop.workspace import Workspace, week_of
from streetvision_core.registry.age import age_notice
from streetvision_core.settings import Settings

logger = structlog.get_logger(__name__)

_COMMON: Final[dict[str, type]] = {"PROFILE": str, "DAY": str}
_WITH_DEMO: Final[dict[str, type]] = {**_COMMON, "DEMO": bool}
_WITH_SAVE: Final[dict[str, type]] = {**_COMMON, "SAVE": bool}
_WITH_FRAMES: Final[dict[str, type]] = {**_WITH_SAVE, "FRAMES": int}
_STARTER: Final = "{data}/starter/starter.npz"
_LABELS: Final = "{data}/labels.sqlite"
_DATASET: Final = "{day_folder}/dataset.parquet"


def daily_pipeline(notebooks: Path) -> Pipeline:
    """The steps of a night, in order; the review comes last, whatever became of the others."""
    night = (
        Step("setup", "00_setup.ipynb", "Check and set up", _WITH_SAVE, inputs=(_STARTER,), retries=1),
        Step("cascade", "05_cascade.ipynb", "Answer and evaluate", _WITH_DEMO, ("setup",), retries=1),
        Step("mine", "06_mine.ipynb", "Mine the hard queries", _WITH_DEMO, ("cascade",), retries=1),
        Step("synthesize", "07_synthesize.ipynb", "Synthesize to order", _WITH_DEMO, ("mine",), retries=1),
        Step(
            "data",
            "01_data.ipynb",
            "Build the dataset",
            _WITH_SAVE,
            ("synthesize",),
            (_STARTER, _LABELS),
            (_DATASET,),
            retries=1,
        ),
        Step("train", "02_train.ipynb", "Train the challenger", _WITH_SAVE, ("data",), retries=1),
        Step("calibrate", "03_calibrate.ipynb", "Calibrate and certify", _WITH_SAVE, ("train",), retries=1),
        Step("quantize", "04_quantize.ipynb", "Try int8", _WITH_FRAMES, ("train",), retries=1),
        Step("promote", "08_promote.ipynb", "Hold the gate", _WITH_SAVE, ("calibrate",)),
    )
    review = Step("review", "daily.ipynb", "Write the day's review", _COMMON, after=tuple(step.name for step in night))
    return Pipeline("daily", notebooks, (*night, review))


def weekly_pipeline(notebooks: Path) -> Pipeline:
    """The one step of the weekly review."""
    return Pipeline("weekly", notebooks, (Step("weekly", "weekly.ipynb", "Write the weekly review", _COMMON),))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind.

    Attributes:
        headline: one sentence.
        report: path of the page.
        exit_code: the pipeline's.
        seconds: wall time.
        steps: status by step.
    """

    headline: str
    report: str
    exit_code: int
    seconds: float
    steps: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


def run_day(
    settings: Settings, date: dt.date, *, demo: bool, fresh: bool = False, progress: Progress | None = None
) -> Outcome:
    """Runs a day and writes its page, also when steps have failed.

    Args:
        settings: the profile.
        date: the day.
        demo: answer the rendered demo stream when the day has no queries.
        fresh: run unchanged steps too.
        progress: told what happens; None draws on a terminal.

    Raises:
        LoopBusyError: another loop runs.
    """
    from streetvision_core.loop.tasks.day import Day
    from streetvision_core.loop.tasks.story import build_story

    parameters = {"DEMO": demo, "SAVE": True, "FRAMES": settings.loop.int8_frames}
    result = run_pipeline(
        daily_pipeline(_notebooks(settings)), date, settings, progress, parameters=parameters, force=fresh
    )
    day = Day(settings, date)
    age = age_notice(day.registry, dt.datetime.now(dt.UTC), settings.gate.max_age_days)
    summary = _summary(result) if age is None else f"{_summary(result)} {age.text}"
    story = build_story(day, result.steps, summary)
    page = write_day(story, Workspace.of(settings))
    notify(
        settings.loop.notify_urls,
        f"StreetVision {date}",
        headline(story),
        "info" if not result.exit_code else "warning",
    )
    if age is not None:
        notify_age(settings.loop.notify_urls, day.registry, age)
    return _outcome(headline(story), page, result)


def run_week(settings: Settings, date: dt.date, progress: Progress | None = None) -> Outcome:
    """Writes the page of the week that a day lies in."""
    from streetvision_core.loop.tasks.day import Day
    from streetvision_core.loop.tasks.week import build_week

    result = run_pipeline(weekly_pipeline(_notebooks(settings)), date, settings, progress)
    story = build_week(Day(settings, date))
    page = write_week(story, Workspace.of(settings))
    sentence = f"{week_of(date)}: {len(story.days)} days, {len(story.promotions)} promotions"
    notify(settings.loop.notify_urls, "StreetVision weekly", sentence, "info")
    return _outcome(sentence, page, result)


def _notebooks(settings: Settings) -> Path:
    return settings.paths.home.resolve() / "notebooks"


def _outcome(sentence: str, page: Path, result: PipelineResult) -> Outcome:
    logger.info("page_written", page=str(page), exit_code=result.exit_code)
    steps: dict[str, str] = {step.name: step.status for step in result.steps}
    return Outcome(sentence, str(page), result.exit_code, round(result.seconds, 1), steps)


def _summary(result: PipelineResult) -> str:
    unfinished = _names(result.steps, finished=False)
    ran = f"{len(result.steps)} steps in {result.seconds / 60:.1f} minutes"
    return f"{ran}; not finished: {', '.join(unfinished)}." if unfinished else f"{ran}."


def _names(steps: Sequence[StepResult], *, finished: bool) -> list[str]:
    return [step.title for step in steps if step.finished == finished]
