"""Champion against challenger: the gate, the decision, the history."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import structlog

from streetvision_core.cascade.calibration import CALIBRATION_FILE, CascadeCalibration
from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.engine import predict_table
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import StreetVisionError
from streetvision_core.loop.tasks.champion import ensure_champion, load_parts, save_version
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.rendered import RENDERED
from streetvision_core.loop.tasks.tables import learning_table, test_rows
from streetvision_core.loop.tasks.training import calibrate_challenger, challenger_folder, challenger_head
from streetvision_core.registry import gate
from streetvision_core.registry.decision import GateDecision
from streetvision_core.registry.versions import ModelVersion
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import Split

GATE_FILE: Final = "gate.json"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Both versions on the same TEST rows.

    Attributes:
        champion: the version that serves.
        challenger: the version that wants to.
        test: the TEST rows, N of them.
        champion_says: the champion's answers.
        challenger_says: the challenger's answers.
        decision: the gate's decision.
    """

    champion: ModelVersion
    challenger: ModelVersion
    test: FeatureTable
    champion_says: Decisions
    challenger_says: Decisions
    decision: GateDecision

    def rows_of(self, rendered: bool) -> npt.NDArray[np.bool_]:
        """Mask [N] of the rendered rows, or of the real ones."""
        return np.array([(origin == RENDERED) == rendered for origin in self.test.origins], bool)


def hold_contest(day: Day) -> Contest:
    """Registers the day's challenger, lets both answer the TEST rows and asks the gate.

    A day whose challenger was promoted before the run was killed is compared with the champion of that decision.
    """
    challenger = _register(day)
    champion = ensure_champion(day)
    if champion.name == challenger.name and (stored := _stored(day)) is not None:
        champion = day.registry.get(stored.champion)
    return compare_versions(day, champion, challenger)


def compare_versions(day: Day, champion: ModelVersion, challenger: ModelVersion) -> Contest:
    """Lets two versions answer the TEST rows of today and asks the gate; nothing is written."""
    table = learning_table(day)
    test = table.select(test_rows(table))
    policy = day.settings.cascade.policy
    says = [predict_table(test, *load_parts(day, version), policy) for version in (champion, challenger)]
    decision = gate.decide(
        says[0].p,
        says[1].p,
        test.labels,
        test.groups,
        test.origins,
        day.settings.gate,
        champion=champion.name,
        challenger=challenger.name,
        first=_first_answers(day, test),
    )
    return Contest(champion, challenger, test, says[0], says[1], decision)


def promote_or_refuse(day: Day, contest: Contest) -> str:
    """Writes `gate.json`, then carries the decision out; harmless when repeated.

    Returns:
        The name of the version that serves from now on.
    """
    registry, decision = day.registry, contest.decision
    serving = ensure_champion(day).name
    if serving == contest.challenger.name:
        return serving
    atomic_write_json(day.folder / GATE_FILE, decision.to_dict())
    registry.settle(contest.challenger, decision, day.settings.gate.promotion)
    return ensure_champion(day).name


def why_it_waits(day: Day, contest: Contest) -> str:
    """Why a challenger that passed does not serve: a hold, or a person is asked; empty where neither is so."""
    waiting = {event.version: event for event in day.registry.waiting()}
    event = waiting.get(contest.challenger.name)
    return event.reason if event is not None else ""


def _first_answers(day: Day, test: FeatureTable) -> gate.FirstAnswers | None:
    """What the first version of today's make answers; None where there is none that can be read."""
    made_with = day.models.backbone.name, day.models.preprocessor.name
    first = day.registry.first_with(*made_with)
    if first is None:
        return None
    try:
        says = predict_table(test, *load_parts(day, first), day.settings.cascade.policy)
    except StreetVisionError as error:
        _log.warning("no second guard: the first version cannot be loaded", version=first.name, error=str(error))
        return None
    return gate.FirstAnswers(first.name, says.p, [origin != RENDERED for origin in test.origins])


def _stored(day: Day) -> GateDecision | None:
    path = day.folder / GATE_FILE
    return GateDecision.from_dict(json.loads(path.read_text())) if path.exists() else None


def _register(day: Day) -> ModelVersion:
    head = challenger_head(day)
    folder = challenger_folder(day)
    known = (folder / CALIBRATION_FILE).exists()
    calibration = CascadeCalibration.load(folder) if known else calibrate_challenger(day)
    table = learning_table(day)
    card: dict[str, Any] = {"learned_from": f"{len(table)} rows up to {day.date}", "head": head.notes}
    return save_version(day, head, calibration, card)


def learned_from(day: Day) -> str:
    """What the day's challenger was trained on, as a sentence."""
    table = learning_table(day)
    train = table.in_split(Split.TRAIN)
    kinds = Counter(_kind(origin) for origin, used in zip(table.origins, train, strict=True) if used)
    return f"{int(train.sum())} TRAIN rows: " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())


def _kind(origin: str) -> str:
    return "rendered" if origin.startswith("stream") else "composed twins" if "composed" in origin else "of real photos"
