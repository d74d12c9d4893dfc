"""A night from start to end: snapshot, steps, page, cursor, notification; and the weekly page.

The nightly order is not the reading order: a night answers and mines before it trains.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from streetvision_core.labels import LabelStore, label_store_path
from streetvision_core.loop.demo import send_demo_day
from streetvision_core.loop.lock import loop_lock
from streetvision_core.loop.nights import Nights, Snapshot, check_past, next_snapshot, past_snapshot
from streetvision_core.loop.notify import notify, notify_age
from streetvision_core.loop.pipeline import Pipeline, PipelineResult, run_pipeline, run_steps
from streetvision_core.loop.progress import Progress
from streetvision_core.loop.report.headlines import headline
from streetvision_core.loop.report.render import write_day, write_week
from streetvision_core.loop.retention import prune_at_night
from streetvision_core.loop.signals import Stop, stop_on_signals
from streetvision_core.loop.state import now_iso
from streetvision_core.loop.steps import Step, StepResult
from streetvision_core.loop.workspace import Workspace, week_days
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.registry.age import AgeNotice, age_notice
from streetvision_core.registry.versions import open_registry
from streetvision_core.settings import Settings

if TYPE_CHECKING:
    from streetvision_core.loop.report.story import DayStory

logger = structlog.get_logger(__name__)

_COMMON: Final[dict[str, type]] = {"PROFILE": str, "DAY": str}
_WITH_SAVE: Final[dict[str, type]] = {**_COMMON, "SAVE": bool}
_WITH_FRAMES: Final[dict[str, type]] = {**_WITH_SAVE, "FRAMES": int}
_STARTER: Final = "{data}/starter/starter.npz"
_SNAPSHOT: Final = "{day_folder}/snapshot.json"
_DATASET: Final = "{day_folder}/dataset.parquet"


def nightly_pipeline(notebooks: Path, *, queries: bool = True) -> Pipeline:
    """The steps of a night, in order; the review comes last, whatever became of the others.

    Args:
        notebooks: their folder.
        queries: whether queries came; without any, nothing is mined and nothing rendered to order.
    """
    mine = (
        Step("mine", "06_mine.ipynb", "Mine the hard queries", _WITH_SAVE, ("cascade",), (_SNAPSHOT,), retries=1),
        Step("synthesize", "07_synthesize.ipynb", "Synthesize to order", _WITH_SAVE, ("mine",), retries=1),
    )
    before, reads, dataset = (mine[-1].name if queries else "cascade",), (_STARTER, _SNAPSHOT), (_DATASET,)
    night = (
        Step("setup", "00_setup.ipynb", "Check and set up", _WITH_SAVE, inputs=(_STARTER,), retries=1),
        Step("cascade", "05_cascade.ipynb", "Evaluate what serves", _WITH_SAVE, ("setup",), (_SNAPSHOT,), retries=1),
        *(mine if queries else ()),
        Step("data", "01_data.ipynb", "Build the dataset", _WITH_SAVE, before, reads, dataset, retries=1),
        Step("train", "02_train.ipynb", "Train the challenger", _WITH_SAVE, ("data",), retries=1),
        Step("calibrate", "03_calibrate.ipynb", "Calibrate and certify", _WITH_SAVE, ("train",), retries=1),
        Step("quantize", "04_quantize.ipynb", "Try int8", _WITH_FRAMES, ("train",), retries=1),
        Step("promote", "08_promote.ipynb", "Hold the gate", _WITH_SAVE, ("calibrate",)),
    )
    review = Step("review", "daily.ipynb", "Review the night", _COMMON, after=tuple(step.name for step in night))
    return Pipeline("daily", notebooks, (*night, review))


def weekly_pipeline(notebooks: Path) -> Pipeline:
    """The one step of the weekly review."""
    step = Step("weekly", "weekly.ipynb", "Review the week", {"PROFILE": str, "WEEK": str})
    return Pipeline("weekly", notebooks, (step,))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind.

    Attributes:
        headline: one sentence.
        report: path of the page.
        exit_code: the pipeline's; 0 for a night that had nothing to learn.
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which night is run.

    Attributes:
        night: the UTC date that names it; None is today. Only a simulated night may have another date than today's.
        demo: send the simulated day's rendered queries first.
        past: past days, both ends included, instead of the queries since the last night.
        fresh: run unchanged steps too.
    """

    night: dt.date | None = None
    demo: bool = False
    past: tuple[dt.date, dt.date] | None = None
    fresh: bool = False


def run_night(
    settings: Settings,
    wanted: Wanted | None = None,
    progress: Progress | None = None,
    *,
    now: dt.datetime | None = None,
) -> Outcome:
    """Runs a night and writes its page, also when steps have failed.

    The night works on what was logged and decided before it began. The next one begins behind it once it is finished;
    past days that were asked for by name change nothing about that.

    Args:
        settings: the profile.
        wanted: which night; None is the one that is due.
        progress: told what happens; None draws on a terminal.
        now: when it starts; None is now.

    Raises:
        LoopBusyError: another loop runs.
        LoopError: a day that has not begun.
    """
    wanted, now = wanted or Wanted(), now or dt.datetime.now(dt.UTC)
    date = wanted.night or now.astimezone(dt.UTC).date()
    check_past(date, now)
    workspace = Workspace.of(settings)
    nights = Nights(workspace.data)
    with loop_lock(workspace.lock, f"the night {date}"), stop_on_signals() as stop:
        if wanted.demo:
            send_demo_day(settings, date, stop)
            now = max(now, dt.datetime.now(dt.UTC))  # what was sent belongs to this night
        snapshot, news = _snapshot(settings, nights, wanted, date, now)
        nights.record_begun(snapshot)
        result = _run(settings, snapshot, news, stop, wanted, progress)
        registry = open_registry(settings)
        age = age_notice(registry, dt.datetime.now(dt.UTC), settings.gate.max_age_days)
        story = _story(settings, snapshot, result, news, age)
        page = write_day(story, workspace)
        if not result.exit_code and snapshot.moves_cursor:
            nights.record_finished(snapshot)
            # not after past days that were asked for by name: what they are about may be long past its time
            prune_at_night(settings, now)
    notify(
        settings.loop.notify_urls,
        f"StreetVision {snapshot.night}",
        " ".join(filter(None, (headline(story), story.waiting))),
        "warning" if result.exit_code else "info",
    )
    if age is not None:
        notify_age(settings.loop.notify_urls, registry, age)
    return _outcome(headline(story), page, result)


def run_week(settings: Settings, week: str, progress: Progress | None = None) -> Outcome:
    """Writes the page of an ISO week such as `2026-W47`."""
    from streetvision_core.loop.report.build_week import build_week

    last = week_days(week)[-1]
    pipeline = weekly_pipeline(Workspace.of(settings).notebooks)
    result = run_pipeline(pipeline, last, settings, progress, parameters={"WEEK": week}, force=True)
    story = build_week(settings, week)
    page = write_week(story, Workspace.of(settings))
    sentence = f"{week}: {len(story.days)} nights, {len(story.promotions)} promotions"
    notify(settings.loop.notify_urls, "StreetVision weekly", sentence, "info")
    return _outcome(sentence, page, result)


def _snapshot(
    settings: Settings, nights: Nights, wanted: Wanted, date: dt.date, now: dt.datetime
) -> tuple[Snapshot, bool]:
    """What the night works on, and whether there is anything new in it."""
    with QueryLog(nights.data / "queries") as log, LabelStore(label_store_path(settings)) as labels:
        if wanted.past is not None:
            snapshot = past_snapshot(log, labels, *wanted.past, now=now)
            return snapshot, snapshot.has_queries
        snapshot = next_snapshot(log, labels, nights, str(date), now=now, fresh=wanted.fresh)
        before = next((one for one in reversed(nights.finished()) if one.night != snapshot.night), None)
        return snapshot, snapshot.has_queries or labels.people_since(before.label_position if before else 0) > 0


def _run(
    settings: Settings, snapshot: Snapshot, news: bool, stop: Stop, wanted: Wanted, progress: Progress | None
) -> PipelineResult:
    if not news:
        logger.info("nothing_to_learn", night=snapshot.night)
        return PipelineResult("daily", snapshot.night, now_iso(), 0.0, (), 0)
    parameters = {"SAVE": True, "FRAMES": settings.loop.int8_frames}
    pipeline = nightly_pipeline(Workspace.of(settings).notebooks, queries=snapshot.has_queries)
    if not snapshot.has_queries:
        logger.info("no_queries", night=snapshot.night, learns_from="new decisions")
    return run_steps(pipeline, snapshot.night, settings, stop, progress, parameters=parameters, force=wanted.fresh)


def _story(
    settings: Settings, snapshot: Snapshot, result: PipelineResult, news: bool, age: AgeNotice | None
) -> DayStory:
    from streetvision_core.loop.report.build import build_story

    summary = " ".join(([_summary(result)] if news else []) + ([age.text] if age else []))
    return build_story(settings, snapshot.night, result.steps, summary, quiet=not news)


def _outcome(sentence: str, page: Path, result: PipelineResult) -> Outcome:
    logger.info("page_written", page=str(page), exit_code=result.exit_code)
    steps: dict[str, str] = {step.name: step.status for step in result.steps}
    return Outcome(sentence, str(page), result.exit_code, round(result.seconds, 1), steps)


def _summary(result: PipelineResult) -> str:
    unfinished = _names(result.steps, finished=False)
    skipped = sum(step.status == "skipped" for step in result.steps)
    ran = f"{len(result.steps)} steps in {result.seconds / 60:.1f} minutes"
    ran += f", {skipped} of them unchanged and skipped" if skipped else ""
    return f"{ran}; not finished: {', '.join(unfinished)}." if unfinished else f"{ran}."


def _names(steps: Sequence[StepResult], *, finished: bool) -> list[str]:
    return [step.title for step in steps if step.finished == finished]
