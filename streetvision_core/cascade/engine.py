"""The cascade at work: a batch of frames through stage 1, what remains through stage 2, and so on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.decisions import Decisions, State, decide
from streetvision_core.cascade.policy import Policy, get_policy
from streetvision_core.cascade.stages import StageAdapter, StageSet, build_stages
from streetvision_core.data.feature_keeper import FeatureKeeper
from streetvision_core.data.table import FeatureTable
from streetvision_core.models.evidence import vector
from streetvision_core.models.factory import ModelSet, load_models
from streetvision_core.models.head import Head
from streetvision_core.settings import ScoringSettings, Settings
from streetvision_core.types import STAGES, Evidence, Frame, Stage, Verdict

Watch = Callable[[int, Verdict], bool]
"""Told after each stage what is known of a frame that goes on; False leaves the frame out of the stages to come."""

_log = structlog.get_logger()


class Cascade:
    """Answers frames.

    Args:
        models: the profile's models.
        head: stage 1's head.
        calibration: what was learned on CALIBRATE for this head.
        policy: decides who ends where.
        version: name of the model version, written into each verdict.
        ocr_min_width_pixels: narrower frames are not read.
        keeper: is given every frame's features.

    Raises:
        PreprocessMismatchError: head, calibration and models are not of one make.
    """

    def __init__(
        self,
        models: ModelSet,
        head: Head,
        calibration: CascadeCalibration,
        policy: Policy,
        version: str,
        ocr_min_width_pixels: int = 640,
        keeper: FeatureKeeper | None = None,
    ) -> None:
        calibration.check(head.backbone, head.preprocessing)
        head.check(models.backbone.name, models.preprocessor.name)
        self.models, self.head, self.calibration = models, head, calibration
        self.policy, self.version = policy, version
        sizes = [part for part in (calibration, calibration.small) if part is not None]
        unwanted: dict[Stage, str] = {
            stage: calibration.absent.get(stage, f"policy {policy.name} does not ask for it")
            for stage in STAGES
            if not any(policy.wants(stage, part) for part in sizes)
        }
        self._stages = build_stages(models, head, ocr_min_width_pixels, unwanted, keeper)

    @classmethod
    def from_version(
        cls, folder: Path, settings: Settings, models: ModelSet | None = None, keeper: FeatureKeeper | None = None
    ) -> Cascade:
        """Loads a model version.

        Args:
            folder: holds head.safetensors, head.json and calibration.json; its name is the version's.
            settings: profile and policy.
            models: loaded models to share; None loads the profile's.
            keeper: is given every frame's features.

        Raises:
            CalibrationError: the calibration is missing or broken.
            CalibrationMismatchError: it was made with other detectors than the profile's, or for the rendered world.
        """
        head = Head.load(folder, backbone=settings.models.backbone, preprocessing=settings.models.preprocessing)
        loaded = models if models is not None else load_models(settings)
        calibration = CascadeCalibration.load(folder)
        calibration.check_serving(loaded.detector_keys)
        _say_other_stream(calibration, settings.scoring)
        return cls(
            models=loaded,
            head=head,
            calibration=calibration,
            policy=get_policy(settings.cascade.policy),
            version=folder.name,
            ocr_min_width_pixels=settings.cascade.ocr_min_width_pixels,
            keeper=keeper,
        )

    @property
    def stages(self) -> StageSet:
        """What is there and what is absent."""
        return self._stages

    def predict(
        self, frames: Sequence[Frame], deadline_seconds: float | None = None, watch: Watch | None = None
    ) -> list[Verdict]:
        """Answers a batch.

        A frame on which a stage fails keeps the evidence it has and the batch goes on; if stage 1 fails, the answer is
        the share of road work in CALIBRATE, uncertified and without evidence.

        Args:
            frames: N images.
            deadline_seconds: no stage after the first is started later than this; the evidence so far answers then.
            watch: told what is known so far of frames that have not ended.

        Returns:
            N verdicts in order.
        """
        verdicts: dict[int, Verdict] = {}
        deadline = None if deadline_seconds is None else time.perf_counter() + deadline_seconds
        parts = [self.calibration.for_size(frame.width, frame.height) for frame in frames]
        for calibration in (self.calibration, self.calibration.small):
            rows = [i for i, part in enumerate(parts) if part is calibration]
            if rows:
                part = calibration or self.calibration
                some = self._predict([frames[i] for i in rows], part, deadline, _numbered(watch, rows))
                verdicts |= dict(zip(rows, some, strict=True))
        return [verdicts[i] for i in range(len(frames))]

    def predict_watched(self, frames: Sequence[Frame], watch: Watch) -> list[Verdict]:
        """Like `predict`; what the server calls, to have the best evidence so far at a deadline."""
        return self.predict(frames, watch=watch)

    def _predict(
        self,
        frames: Sequence[Frame],
        calibration: CascadeCalibration,
        deadline: float | None,
        watch: Watch | None,
    ) -> list[Verdict]:
        """Answers frames that share a calibration."""
        state = State.start(len(frames), self.policy.name, calibration)
        evidence: list[tuple[Evidence, ...]] = [()] * len(frames)
        for adapter in self._stages.present:
            late = deadline is not None and time.perf_counter() > deadline
            if late and adapter.stage != "classifier":
                break
            if not self.policy.wants(adapter.stage, calibration):
                continue
            todo = [i for i, frame in enumerate(frames) if self._goes_on(i, frame, adapter, state, evidence[i])]
            for i, seen in _run(adapter, frames, evidence, todo).items():
                evidence[i] = (*evidence[i], seen)
            answered = [i for i in todo if any(e.stage == adapter.stage and e.answered for e in evidence[i])]
            done = np.array(answered, np.int64)
            self._rule(adapter, done, evidence, state, calibration)
            if watch is not None:
                for i in (i for i in todo if evidence[i] and not state.ended[i]):
                    state.ended[i] = not watch(i, self._verdict(i, state, evidence[i], frames[i]))
        return [self._verdict(i, state, evidence[i], frame) for i, frame in enumerate(frames)]

    def _goes_on(self, i: int, frame: Frame, adapter: StageAdapter, state: State, so_far: tuple[Evidence, ...]) -> bool:
        """Later stages build on the classifier's logit, so a frame it failed on ends there."""
        began = adapter.stage == "classifier" or bool(state.ran[i, 0])
        return began and not state.ended[i] and adapter.takes(frame, so_far)

    def _rule(
        self,
        adapter: StageAdapter,
        rows: np.ndarray[Any, np.dtype[np.int64]],
        evidence: list[tuple[Evidence, ...]],
        state: State,
        calibration: CascadeCalibration,
    ) -> None:
        if not len(rows):
            return
        logits = np.array([evidence[i][0].scores["logit"] for i in rows])
        vectors = np.stack([vector(evidence[i]) for i in rows])
        state.apply(adapter.stage, rows, logits, vectors, calibration, self.policy)

    def _verdict(self, i: int, state: State, evidence: tuple[Evidence, ...], frame: Frame) -> Verdict:
        return Verdict(
            p_roadwork=float(state.p[i]),
            exit_stage=STAGES[state.exit_stage[i]],
            certified=bool(state.certified[i]),
            evidence=evidence,
            model_version=self.version,
            policy=self.policy.name,
            seconds=sum(e.seconds for e in evidence),
            notes=frame.notes,
        )


def _say_other_stream(calibration: CascadeCalibration, scoring: ScoringSettings) -> None:
    """A threshold for another rule or prevalence still answers, but not the question that the settings ask."""
    made = calibration.made_with
    if (made.rule, made.prevalence) != (scoring.rule, scoring.prevalence):
        _log.warning(
            "the threshold is for another stream",
            made_for=f"{made.rule} at prevalence {made.prevalence:g}",
            settings=f"{scoring.rule} at prevalence {scoring.prevalence:g}",
            do="run: streetvision calibrate",
        )


def _numbered(watch: Watch | None, rows: Sequence[int]) -> Watch | None:
    """A watch for some of the frames, which counts them from 0."""
    return None if watch is None else lambda i, verdict: watch(rows[i], verdict)


def predict_table(table: FeatureTable, head: Head, calibration: CascadeCalibration, policy: Policy | str) -> Decisions:
    """The decisions the cascade would make on the frames of a table, from stored features and evidence.

    Args:
        table: features and evidence of N rows.
        head: stage 1's head.
        calibration: for this head.
        policy: a policy or its name.

    Raises:
        PreprocessMismatchError: the table, the head and the calibration are not of one make.
    """
    head.check(table.backbone, table.preprocessing)
    calibration.check(head.backbone, head.preprocessing)
    chosen = get_policy(policy) if isinstance(policy, str) else policy
    logits = head.predict_logit(table.features)
    native = np.array([era == "native" for era in table.eras], np.bool_)
    cases = (
        (np.flatnonzero(native), calibration.for_era("native")),
        (np.flatnonzero(~native), calibration.for_era("crop-224")),
    )
    parts = [(rows, decide(logits[rows], table.evidence[rows], own, chosen)) for rows, own in cases if len(rows)]
    return Decisions.merge(parts, len(table), chosen.name)


def _run(
    adapter: StageAdapter, frames: Sequence[Frame], evidence: Sequence[tuple[Evidence, ...]], todo: list[int]
) -> dict[int, Evidence]:
    """Runs a stage on a batch; if the batch fails, frame by frame, leaving out those that fail alone."""
    if not todo:
        return {}
    try:
        found = adapter.run([frames[i] for i in todo], [evidence[i] for i in todo])
        return dict(zip(todo, found, strict=True))
    except Exception as error:
        if len(todo) == 1:
            _log.warning("stage failed", stage=adapter.stage, source=frames[todo[0]].source, error=repr(error))
            return {}
    alone = [_run(adapter, frames, evidence, [i]) for i in todo]
    return {i: seen for one in alone for i, seen in one.items()}
