"""The local index of a long video: one row of features per sampled frame, searched by examples or by words.

Building it is most of the work of searching a video, so it is kept, and an interrupted one is continued.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import VideoSearchError
from streetvision_core.images.preprocess import Preprocessor
from streetvision_core.images.video import Sampling, Video, stream
from streetvision_core.models.backbone import Backbone
from streetvision_core.models.features import extract
from streetvision_core.storage import atomic_write_bytes, file_sha256
from streetvision_core.types import Frame

Rows = npt.NDArray[np.float32]
BATCH: Final = 8
SAVE_EVERY: Final = 256
"""Rows between two saves of a growing index."""


class Encoder(Protocol):
    """Frames in, rows out; `name` says which rows may be compared."""

    @property
    def name(self) -> str:
        """The make of the rows."""

    def encode(self, frames: Sequence[Frame]) -> Rows:
        """Rows float32 [N, D]."""

    def encode_text(self, text: str) -> Rows:
        """A row float32 [1, D] in the same space; VideoSearchError where the model knows no words."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureEncoder:
    """Stage 1's features, so that stage 1's head can score the rows of an index as they are."""

    backbone: Backbone
    preprocessor: Preprocessor

    @property
    def name(self) -> str:
        """Backbone and preprocessing."""
        return f"{self.backbone.name} {self.preprocessor.name}"

    def encode(self, frames: Sequence[Frame]) -> Rows:
        """See `Encoder`."""
        return extract(frames, self.backbone, self.preprocessor)

    def encode_text(self, text: str) -> Rows:
        """Refuses: a classifier's features know no words."""
        raise VideoSearchError(
            got=f"the text query {text!r} for rows of {self.name}",
            allowed="example frames; text only with an image-text encoder, and this profile has none",
            action="search with --like IMAGE, or set models.image_text, or take --provider twelvelabs",
            text=text,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """Rows of one video.

    Attributes:
        encoder: what made them.
        step_seconds: the grid they were sampled on.
        seconds: times, float64 [N], rising.
        rows: float16 [N, D].
        complete: whether the video was read to its end.
    """

    encoder: str
    step_seconds: float
    seconds: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float16]
    complete: bool

    def similarity(self, examples: Rows) -> npt.NDArray[np.float64]:
        """The cosine of each row to the nearest of the examples.

        Args:
            examples: float32 [M, D], M >= 1, of the same encoder.

        Returns:
            float64 [N], in [-1, 1].
        """
        mine, theirs = _unit(self.rows.astype(np.float32)), _unit(examples)
        made: npt.NDArray[np.float64] = (mine @ theirs.T).max(axis=1).astype(np.float64)
        return made

    def save(self, path: Path) -> None:
        """Writes one .npz file."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            encoder=np.array(self.encoder),
            step_seconds=np.array(self.step_seconds),
            seconds=self.seconds,
            rows=self.rows,
            complete=np.array(self.complete),
        )
        atomic_write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> FrameIndex:
        """Reads what `save` wrote.

        Raises:
            VideoSearchError: the file is no such index.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                return cls(
                    str(held["encoder"]),
                    float(held["step_seconds"]),
                    held["seconds"],
                    held["rows"],
                    bool(held["complete"]),
                )
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise VideoSearchError(
                got=f"{path.name}: {type(error).__name__}: {error}",
                allowed="an index as `build_index` writes it",
                action=f"remove {path}; it is built again",
                path=str(path),
            ) from error


def build_index(
    video: Video,
    encoder: Encoder,
    step_seconds: float,
    store: Path | None = None,
    progress: Callable[[float], None] = lambda seconds: None,
) -> FrameIndex:
    """The index of a video, from the store if it is there, continued if it is not complete.

    Args:
        video: an opened video.
        encoder: makes the rows.
        step_seconds: between two frames.
        store: folder where indexes are kept; None keeps nothing.
        progress: told the seconds of the video that are done.

    Raises:
        VideoError: the video cannot be decoded.
    """
    path = None if store is None else store / f"{_key(video, encoder.name, step_seconds)}.npz"
    begun = FrameIndex.load(path) if path is not None and path.exists() else None
    if begun is not None and begun.complete:
        return begun
    seconds = [] if begun is None else begun.seconds.tolist()
    parts = [] if begun is None else [begun.rows]
    start, saved = (seconds[-1] + step_seconds if seconds else 0.0), len(seconds)
    waiting: list[Frame] = []

    def made(complete: bool) -> FrameIndex:
        rows = np.concatenate(parts) if parts else np.zeros((0, 0), np.float16)
        return FrameIndex(encoder.name, step_seconds, np.array(seconds, np.float64), rows, complete)

    if start < video.info.seconds:
        for moment in stream(video, Sampling(step_seconds, start_seconds=start)):
            waiting.append(moment.frame)
            if len(waiting) == BATCH:
                parts.append(encoder.encode(waiting).astype(np.float16))
                waiting.clear()
            seconds.append(moment.seconds)
            progress(moment.seconds)
            if path is not None and not waiting and len(seconds) - saved >= SAVE_EVERY:
                made(False).save(path)
                saved = len(seconds)
    if waiting:
        parts.append(encoder.encode(waiting).astype(np.float16))
    index = made(True)
    if path is not None:
        index.save(path)
    return index


def best_stretches(
    seconds: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    count: int,
    length_seconds: float,
    end_seconds: float,
) -> list[tuple[float, float]]:
    """The stretches of the highest mean score: the best first is taken, then the best outside it, and so on.

    The mean, not the peak, so that a stretch lies round a zone and not round its most striking frame.

    Args:
        seconds: times [N].
        scores: [N].
        count: at most so many.
        length_seconds: of each.
        end_seconds: the video's.

    Returns:
        (start, end) in order of time, not overlapping.

    Example:
        >>> best_stretches(np.arange(6) * 10.0, np.array([0, 0, 3, 0, 2, 0.0]), 2, 10.0, 60.0)
        [(15.0, 25.0), (35.0, 45.0)]
    """
    first = np.searchsorted(seconds, seconds - length_seconds / 2)
    past = np.searchsorted(seconds, seconds + length_seconds / 2, side="right")
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    means = (sums[past] - sums[first]) / (past - first)
    taken: list[tuple[float, float]] = []
    for i in np.argsort(-means, kind="stable"):
        at = float(seconds[i])
        if len(taken) == count:
            break
        if any(start <= at <= end for start, end in taken):
            continue
        low = max([0.0, *(end for _, end in taken if end < at)])
        high = min([end_seconds, *(start for start, _ in taken if start > at)])
        taken.append((max(low, at - length_seconds / 2), min(high, at + length_seconds / 2)))
    return sorted(taken)


def _unit(rows: Rows) -> Rows:
    made: Rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return made


def _key(video: Video, encoder: str, step_seconds: float) -> str:
    digest = hashlib.sha256(video.data).hexdigest() if isinstance(video.data, bytes) else file_sha256(video.data)
    return f"{digest[:24]}-{hashlib.sha256(f'{encoder}|{step_seconds}'.encode()).hexdigest()[:8]}"
