"""How good it is: the champion on TEST rows, and the whole recipe on a folder of labelled photos."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.cascade.calibration import CALIBRATION_FILE, CascadeCalibration
from streetvision_core.cascade.crossval import cross_validate
from streetvision_core.cascade.evaluation import evaluate_table
from streetvision_core.cascade.report import CascadeReport
from streetvision_core.data._evidence_rows import EvidenceMaker
from streetvision_core.data.build_starter import build_table
from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.data.sources import read_labels
from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.loop.tasks.champion import ensure_champion, load_parts
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.tables import learning_table, test_rows
from streetvision_core.loop.tasks.training import calibrate_challenger, challenger_folder, challenger_head
from streetvision_core.training.heads import progress_bar
from streetvision_core.types import STAGES, Stage

POLICIES = ("certified", "plan")
UNSEEN_BY_DETECTORS: Final = "all, unseen by the detectors"
"""Photos of groups that trained no detector: the others' evidence may be too good."""
_ORIGIN_SHUFFLES: Final = 3


def evaluate_champion(day: Day) -> dict[str, CascadeReport]:
    """The champion on TEST rows, real and rendered, under each exit policy."""
    head, calibration = load_parts(day, ensure_champion(day))
    table = learning_table(day)
    test = table.select(test_rows(table))
    seconds = stage_seconds(day)
    return {name: evaluate_table(test, head, calibration, name, stage_seconds=seconds) for name in POLICIES}


def challenger_report(day: Day) -> CascadeReport:
    """The day's challenger on TEST rows, which calibration has not seen."""
    folder = challenger_folder(day)
    known = (folder / CALIBRATION_FILE).exists()
    calibration = CascadeCalibration.load(folder) if known else calibrate_challenger(day)
    table = learning_table(day)
    test = table.select(test_rows(table))
    return evaluate_table(test, challenger_head(day), calibration, day.settings.cascade.policy)


def stage_seconds(day: Day) -> dict[Stage, float] | None:
    """Median seconds each stage took on the day's logged queries; None before there are any."""
    rows = day.log.rows(day.date)
    times: dict[Stage, list[float]] = {stage: [] for stage in STAGES}
    for row in rows:
        for evidence in row.verdict.evidence:
            times[evidence.stage].append(evidence.seconds)
    return {stage: float(np.median(spent)) for stage, spent in times.items() if spent} or None


def evaluation_text(result: dict[str, Any]) -> str:
    """The figures of an evaluation as lines for a terminal; of photos, the tables of `evaluate_photos`."""
    if "unseen_origins" in result:
        unseen = result["unseen_origins"]["markdown"]
        known = result["markdown"]
        return f"Over group folds:\n\n{known}\n\nOrigins answered by what learned from the others:\n\n{unseen}"
    lines = []
    for name, report in result.items():
        if not isinstance(report, dict) or "overall" not in report:
            continue
        for part in (report["overall"], *report["by_origin"], *report["by_era"]):
            told = ", ".join(
                f"{metric} {value['point']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
                for metric, value in part["metrics"].items()
                if value["point"] is not None and value["low"] is not None
            )
            lines.append(f"{name:10} {part['name']:44} n = {part['n']:5}  {told}")
    return "\n".join(lines)


def photo_table(day: Day, streets: Path) -> FeatureTable:
    """Every photo of a folder with a binary label, and its challenge variants; weight 0 where it may not train."""
    images = [image for image in read_labels(streets) if image.label is not None]
    evidence = EvidenceMaker(day.models, day.settings.cascade.ocr_min_width_pixels)
    table = build_table(images, streets, day.models, FeatureStore(day.feature_store), evidence)
    may_train = {image.path.relative_to(streets).as_posix(): image.may_train for image in images}
    weights = np.array([may_train[name.split("#")[0]] for name in table.ids], np.float32)
    return dataclasses.replace(table, weights=table.weights * weights)


def evaluate_photos(day: Day, streets: Path, folds: int = 5, shuffles: int = 5) -> dict[str, Any]:
    """The whole recipe cross-validated on a folder of labelled photos, natively and in each challenge era.

    Twice: over group folds, and with every origin answered by what learned from the other origins alone. Photos that
    may not train shipped weights are answered, never learned from. Composed twins are learned from in the folds whose
    test rows do not hold their photo, and never scored.

    Returns:
        JSON-ready: the report of `cascade.crossval`, under `unseen_origins` that of the second kind, and how they were
        made.
    """
    photos = photo_table(day, streets)
    table = FeatureTable.concat([photos, load_starter().composed])
    scored = np.arange(len(table)) < len(photos)
    apart = {UNSEEN_BY_DETECTORS: ~np.isin(np.array(table.groups), sorted(day.models.seen_groups))}
    with progress_bar("cross-validating") as bar:
        known = cross_validate(
            table, day.settings, folds=folds, shuffles=shuffles, scored=scored, apart=apart, progress=bar
        )
    rounds = min(shuffles, _ORIGIN_SHUFFLES)
    with progress_bar("unseen origins") as bar:
        unseen = cross_validate(table, day.settings, shuffles=rounds, scored=scored, by_origin=True, progress=bar)
    policy = day.settings.cascade.policy
    made = {"photos": sum(era == "native" for era in photos.eras), "rows": len(photos), "profile": day.settings.profile}
    other = {"markdown": unseen.to_markdown(policy), **unseen.to_dict()}
    return {"made": made, "markdown": known.to_markdown(policy), **known.to_dict(), "unseen_origins": other}
