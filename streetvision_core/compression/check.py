"""Whether a compressed copy may replace the model it was made from: it must be faster and must decide the same.

A copy is timed briefly first. Where that shows it clearly slower it is refused at once; the long rounds and its
decisions are only worth their time where it may be kept.

Accuracy and latency are taken from the same file at the precision it is served in; what is measured on one file never
speaks for another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.compression.benchmark import Faster, Timing, faster, interleave
from streetvision_core.compression.int8 import Method, Quantized, quantize
from streetvision_core.compression.report import MAX_MCC_CHANGE, Candidate, CompressionReport
from streetvision_core.compression.reuse import Batch
from streetvision_core.errors import StreetVisionError
from streetvision_core.scoring.metrics import mcc

FP32: Final = "fp32"
TRIAL_ROUNDS: Final = 5
"""If all of 5 brief inferences are slower than all of 5 of the original's, chance made it so once in 252 times."""
Probabilities = npt.NDArray[np.float64] | npt.NDArray[np.float32]
Predict = Callable[[Path], Probabilities]
"""Probabilities [N] of the rows judged on, computed with the model file given."""
MakeRun = Callable[[Path], Callable[[], object]]
"""Opens a model file and returns one inference to be timed."""


def compress(
    source: Path,
    folder: Path,
    batches: Sequence[Batch],
    predict: Predict,
    make_run: MakeRun,
    y: npt.ArrayLike,
    *,
    methods: Sequence[Method] = ("static", "dynamic"),
    rounds: int = 30,
) -> CompressionReport:
    """Makes int8 copies and keeps the fastest one that is allowed, else fp32.

    Args:
        source: the fp32 ONNX file.
        folder: where copies go, e.g. `data/cache/int8`.
        batches: model inputs of CALIBRATE frames.
        predict: probabilities of the rows judged on with a given file; the rows are the same for every file.
        make_run: opens a file and returns the inference to be timed.
        y: labels [N] of the rows judged on; never the rows the calibration saw.
        methods: which copies to try.
        rounds: timed rounds, A B A B.
    """

    def maker(method: Method) -> Callable[[], Quantized]:
        return lambda: quantize(source, folder / f"{source.stem}-int8-{method}.onnx", batches, method)

    makers: dict[str, Callable[[], Quantized]] = {method: maker(method) for method in methods}
    return check_copies(source, makers, predict, make_run, y, rounds=rounds, prefix="int8-")


def check_copies(
    source: Path,
    makers: Mapping[str, Callable[[], Quantized]],
    predict: Predict,
    make_run: MakeRun,
    y: npt.ArrayLike,
    *,
    rounds: int = 30,
    prefix: str = "",
    original: str = FP32,
    within_seconds: float | None = None,
) -> CompressionReport:
    """Makes copies of any kind (int8, fp16, another runtime's file) and keeps the fastest one that is allowed.

    Args:
        source: the file, or the checkpoint's folder, they are made from.
        makers: by name, what writes a copy.
        predict: see `compress`.
        make_run: see `compress`.
        y: see `compress`.
        rounds: timed rounds, A B A B.
        prefix: of the names in the report.
        original: what the source is called in the report.
        within_seconds: for copies that are made to fit and not to hurry: they need not be faster than the source if 19
            of 20 rounds take no longer than this.
    """
    reference = np.asarray(predict(source), dtype=np.float64)
    trial = _Trial(original, make_run(source), within_seconds)
    made = {name: _attempt(make, predict, make_run, trial) for name, make in makers.items()}
    ready = {method: tried for method, tried in made.items() if isinstance(tried, _Ready)}
    runs = {original: trial.run, **{method: tried.run for method, tried in ready.items()}}
    timings = interleave(runs, rounds) if ready else trial.timings
    fp32_mcc = mcc(reference, y)
    judge = _Judge(original, reference, y, fp32_mcc, within_seconds)
    candidates = tuple(
        judge(method, tried, timings[method], timings[original])
        if isinstance(tried, _Ready)
        else replace(tried, method=method)
        for method, tried in made.items()
    )
    kept, path, reason = _choose(source, candidates, prefix, original)
    return CompressionReport(
        kept, path, reason, reference.size, stored_bytes(source), fp32_mcc, timings.get(original), candidates
    )


def stored_bytes(path: Path) -> int:
    """Size of a model file, or of the safetensors of a checkpoint's folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.glob("*.safetensors")))


@dataclass(frozen=True, slots=True)
class _Ready:
    model: Quantized
    p: Probabilities
    run: Callable[[], object]


@dataclass(slots=True)
class _Trial:
    """A few rounds of a copy beside the original: enough to see that it is clearly slower."""

    original: str
    run: Callable[[], object]
    within_seconds: float | None
    timings: dict[str, Timing] = field(default_factory=dict)
    """The original's, of the last trial."""

    def __call__(self, model: Quantized, run: Callable[[], object]) -> Candidate | None:
        """The refusal of a copy that is clearly too slow, else None."""
        found = interleave({self.original: self.run, "copy": run}, TRIAL_ROUNDS, warmup=1)
        timing, reference = found["copy"], found[self.original]
        self.timings = {self.original: reference}
        quickest, slowest = min(timing.seconds), max(reference.seconds)
        if quickest <= slowest or (self.within_seconds is not None and quickest <= self.within_seconds):
            return None
        speed = faster(timing, reference)
        reason = (
            f"refused, it is clearly slower: {1 / speed.ratio:.2f} x the speed of {self.original}; in {TRIAL_ROUNDS} "
            f"brief rounds its quickest inference took {quickest:.3g} s, the slowest of {self.original} {slowest:.3g} "
            "s; it was not timed longer and its decisions were not judged"
        )
        return Candidate("", False, reason, model, timing, speed)


def _attempt(make: Callable[[], Quantized], predict: Predict, make_run: MakeRun, trial: _Trial) -> _Ready | Candidate:
    """A copy that can be made, loaded and run and is not clearly slow, or its refusal."""
    try:
        model = make()
        run = make_run(model.path)
        run()
        return trial(model, run) or _Ready(model, predict(model.path), run)
    except StreetVisionError as error:
        reason = error.got
    except Exception as error:  # ONNX Runtime refuses operators with classes of its own
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return Candidate("", False, f"refused: {reason}")


@dataclass(frozen=True, slots=True)
class _Judge:
    original: str
    reference: Probabilities
    y: npt.ArrayLike
    reference_mcc: float
    within_seconds: float | None

    def __call__(self, method: str, tried: _Ready, timing: Timing, reference_timing: Timing) -> Candidate:
        speed = faster(timing, reference_timing)
        p, wanted = np.asarray(tried.p, dtype=np.float64), self.reference
        changed = -1 if p.shape != wanted.shape else int(((p > 0.5) != (wanted > 0.5)).sum())
        if changed < 0 or not np.isfinite(p).all():
            reason = f"refused: {p.size} answers for {wanted.size} rows, or answers that are no numbers"
            return Candidate(method, False, reason, tried.model, timing, speed)
        score = mcc(p, self.y)
        facts = (
            f"{1 / speed.ratio:.2f} x the speed of {self.original} (sign test p = {speed.p_value:.2g}), MCC "
            f"{self.reference_mcc:.4f} -> {score:.4f}, {changed} of {p.size} decisions changed"
        )
        faults = [*self._too_slow(speed, timing), *self._other_answers(score)]
        reason = f"refused, {' and '.join(faults)}: {facts}" if faults else f"accepted: {facts}"
        return Candidate(method, not faults, reason, tried.model, timing, speed, score, changed)

    def _too_slow(self, speed: Faster, timing: Timing) -> list[str]:
        if speed.faster:
            return []
        if self.within_seconds is None:
            return ["it is not faster"]
        late = timing.p95_seconds > self.within_seconds
        return [f"its 95th percentile is {timing.p95_seconds:.3g} s, over {self.within_seconds:g} s"] if late else []

    def _other_answers(self, score: float) -> list[str]:
        faults, change = [], abs(score - self.reference_mcc)
        if len(set((self.reference > 0.5).tolist())) < 2 or len(set(np.asarray(self.y).tolist())) < 2:
            faults.append(
                f"the rows are all of one label or {self.original} decides them all alike, so that MCC shows no change"
            )
        if change > MAX_MCC_CHANGE + 1e-9:
            faults.append(f"MCC changes by {change:.4f}, more than {MAX_MCC_CHANGE:g}")
        return faults


def _choose(source: Path, candidates: Sequence[Candidate], prefix: str, original: str) -> tuple[str, Path, str]:
    accepted = [c for c in candidates if c.accepted and c.model is not None and c.timing is not None]
    if not accepted:
        reasons = "; ".join(f"{prefix}{c.method} {c.reason}" for c in candidates) or "no copy was tried"
        return original, source, f"{original} is kept: {reasons}"
    best = min(accepted, key=lambda c: c.timing.median_seconds if c.timing else np.inf)
    path = best.model.path if best.model else source
    name = f"{prefix}{best.method}"
    return name, path, f"{name} may be served: {best.reason}"
