"""What a day's report tells. Every section may be `Missing` with a reason; it is then shown as not available.

The story is validated where it is made: unknown keys, NaN and values outside their range are refused, so a typing
error in a notebook cannot silently empty a section.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from streetvision_core.errors import ResultError
from streetvision_core.learning.watch import Challenge, Drift, Memory
from streetvision_core.loop.report.fields import STRICT, Missing, Plot
from streetvision_core.loop.report.models import Bands, Change, Gate, Honesty, RealPhotos
from streetvision_core.loop.report.queries import Doubts, Hard, Traffic
from streetvision_core.loop.steps import StepResult

_NOT_TOLD = Missing("the step that tells it did not run")


@dataclass(frozen=True, slots=True, config=STRICT)
class DayStory:
    """A day as the report tells it.

    Attributes:
        day: the day; of a night over past days, the last of them.
        night: the night's name where it is not the day.
        covers: whose queries these are, one sentence; may be empty.
        waiting: mined frames that nobody has labelled, one sentence; empty where there is none.
        quiet: nothing came and nothing was decided, so no step ran.
        failed_runs: pages of later runs of the same night that failed, relative to this one.
        good_run: this page is of a failed run, and this is the page of the good one before it; may be empty.
        profile: the settings profile.
        champion: version that serves after this day.
        generated_at: ISO time, UTC.
        headline: one sentence; empty: written from the decision (`headlines.headline`).
        summary: one to three sentences below it; may be empty.
        traffic: what came in.
        hard: what was hard.
        doubts: labels that are in doubt.
        change: champion against challenger.
        gate: the decision.
        bands: exit bands.
        plots: reliability diagram and the like.
        real: the serving model on real photos.
        challenge: the fixed set nothing was ever trained on.
        memory: what was forgotten of the base photos.
        drift: whether queries, answers and errors still look as they did.
        honesty: what is known, measured, estimated, unknown.
        steps: what became of the steps, in order.
    """

    day: dt.date
    profile: str
    generated_at: str
    night: str = ""
    covers: str = ""
    waiting: str = ""
    quiet: bool = False
    failed_runs: tuple[str, ...] = ()
    good_run: str = ""
    champion: str = "none yet"
    headline: str = ""
    summary: str = ""
    traffic: Traffic | Missing = _NOT_TOLD
    hard: Hard | Missing = _NOT_TOLD
    doubts: Doubts | Missing = _NOT_TOLD
    change: Change | Missing = _NOT_TOLD
    gate: Gate | Missing = _NOT_TOLD
    bands: Bands | Missing = _NOT_TOLD
    plots: tuple[Plot, ...] | Missing = _NOT_TOLD
    real: RealPhotos | Missing = _NOT_TOLD
    challenge: Challenge | Missing = _NOT_TOLD
    memory: Memory | Missing = _NOT_TOLD
    drift: Drift | Missing = _NOT_TOLD
    honesty: Honesty | Missing = _NOT_TOLD
    steps: tuple[StepResult, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        data: dict[str, Any] = TypeAdapter(DayStory).dump_python(self, mode="json")
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DayStory:
        """A story from plain data, such as recorded results; raises ResultError naming the first wrong key."""
        story: DayStory = parse(TypeAdapter(cls), data, "the day's story")
        return story


def parse(adapter: TypeAdapter[Any], data: Mapping[str, Any], what: str) -> Any:
    """Validates plain data; raises ResultError naming the first wrong key."""
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        # Of a section that may be Missing, the error about the section itself is the useful one.
        errors = [e for e in error.errors() if "Missing" not in e["loc"]] or error.errors()
        where = ".".join(str(part) for part in errors[0]["loc"])
        raise ResultError(
            got=f"{where} = {str(errors[0].get('input'))[:80]!r} in {what}",
            allowed=errors[0]["msg"],
            action="mend what the notebook records; the fields are described in streetvision_core.loop.report",
            where=where,
        ) from error
