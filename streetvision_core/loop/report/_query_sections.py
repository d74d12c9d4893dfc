"""The sections of a night's report about its queries: what came in, what was hard, which labels are in doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from streetvision_core.labels import Label, Source
from streetvision_core.learning.doubts import likely_label_errors
from streetvision_core.learning.mine import Mined
from streetvision_core.loop.report._absent import ABSENT_VLM
from streetvision_core.loop.report.pictures import thumbnail
from streetvision_core.loop.report.queries import (
    DoubtedPicture,
    Doubts,
    Hard,
    HardPicture,
    Latency,
    StageExits,
    Traffic,
)
from streetvision_core.mining.querylog import QueryRow
from streetvision_core.settings import Settings
from streetvision_core.types import STAGES, Frame

PICTURES: Final = 18
DOUBTED: Final = 8
EXACT_LABELS: Final = "These labels are the renderer's exact truth: here a doubt shows what the heads cannot see yet."
_LABELLED_BY: Final[Mapping[Source, str]] = {
    "renderer": "by the renderer's own truth, which no person has looked at",
    "machine": "by certified agreement of the sources, without a person",
    "caller": "by the caller who sent them",
}


def traffic(settings: Settings, rows: Sequence[QueryRow]) -> Traffic:
    """What came in and where it left."""
    seconds = np.array([row.verdict.seconds for row in rows]) * 1000
    known = [row.verdict.roadwork == (row.truth == 1) for row in rows if row.truth is not None]
    latency = Latency(*(round(float(p), 2) for p in np.percentile(seconds, [50, 95, 99]))) if len(rows) else None
    return Traffic(
        frames=len(rows),
        said_roadwork=sum(row.verdict.roadwork for row in rows),
        exits=tuple(_exits(stage, rows) for stage in STAGES if stage != "vlm" or settings.models.vlm),
        latency=latency,
        correct=sum(known) if known else None,
        known=len(known),
        early=sum(row.verdict.certified and row.verdict.exit_stage != STAGES[-1] for row in rows),
        sources=dict(Counter(row.origin for row in rows)),
        eras=dict(Counter(row.era for row in rows)),
        absent_stages={} if settings.models.vlm else {"vlm": ABSENT_VLM},
        by_mode=_by_mode(rows),
    )


Read = Callable[[QueryRow], Frame]
"""Gives a query's image."""


def hard(mined: Mined, labels: Mapping[str, Label], read: Read) -> Hard:
    """The mined frames, the hardest as pictures.

    Args:
        mined: the frames.
        labels: the labels that hold, by sha256.
        read: gives an image.
    """
    order = np.argsort([-item.hardness for item in mined.chosen.items], kind="stable")[:PICTURES]
    return Hard(
        mined=len(mined.rows),
        pictures=tuple(_picture(mined, int(i), read) for i in order),
        modes=mined.mode_counts,
        reasons=mined.chosen.reason_counts(),
        reviewer=f"Labels: {who_labelled([row.sha256 for row in mined.rows], labels)}.",
    )


def who_labelled(images: Sequence[str], labels: Mapping[str, Label]) -> str:
    """Whose word the labels of these images are, as a sentence; what nobody has decided is called open.

    Example:
        >>> who_labelled(["a", "b"], {})
        'no label yet for 2 of 2 frames'
    """
    held = [labels[image] for image in images if image in labels]
    people = Counter(label.who for label in held if label.source == "person")
    others: Counter[Source] = Counter(label.source for label in held if label.source != "person")
    parts = [f"{sum(people.values())} by {', '.join(sorted(people))}"] if people else []
    parts += [f"{others[source]} {words}" for source, words in _LABELLED_BY.items() if others[source]]
    if (waiting := len(images) - len(held)) or not images:
        parts.append(f"no label yet for {waiting} of {len(images)} frames")
    return "; ".join(parts)


def doubts(mined: Mined, judged: Mapping[str, tuple[float, bool]], read: Read) -> Doubts:
    """The labels that are in doubt, the worst as pictures.

    Args:
        mined: frames and labels.
        judged: from `label_doubts`.
        read: gives an image.
    """
    found = likely_label_errors(mined.rows, mined.labels, judged)
    modes = {row.name: told for row, told in zip(mined.rows, mined.modes, strict=True)}
    pictures = tuple(
        DoubtedPicture(
            jpeg_base64=thumbnail(read(one.row).pixels, 300),
            name=one.row.name,
            source=f"{one.row.origin} ({one.row.era})",
            given=one.given,  # type: ignore[arg-type]
            fit=round(one.quality, 4),
            p_roadwork=one.row.verdict.p_roadwork,
            modes=modes[one.row.name],
        )
        for one in found[:DOUBTED]
    )
    exact = all(one.row.truth is not None for one in found)
    return Doubts(len(judged), len(found), pictures, EXACT_LABELS if found and exact else "")


def _by_mode(rows: Sequence[QueryRow]) -> dict[str, tuple[int, int]]:
    right: dict[str, list[bool]] = {}
    for row in rows:
        if row.wrong is not None:
            for mode in row.modes or ("plain",):
                right.setdefault(mode, []).append(not row.wrong)
    return {mode: (sum(answers), len(answers)) for mode, answers in sorted(right.items())}


def _exits(stage: str, rows: Sequence[QueryRow]) -> StageExits:
    seconds = [row.verdict.seconds for row in rows if row.verdict.exit_stage == stage]
    return StageExits(stage, len(seconds), round(float(np.median(seconds)) * 1000, 2) if seconds else None)  # type: ignore[arg-type]


def _picture(mined: Mined, i: int, read: Read) -> HardPicture:
    row = mined.rows[i]
    return HardPicture(
        jpeg_base64=thumbnail(read(row).pixels, 300),
        source=f"{row.origin} ({row.era})",
        p_roadwork=row.verdict.p_roadwork,
        stage=row.verdict.exit_stage,
        reason=", ".join(mined.chosen.items[i].reasons),
        truth=mined.labels[i],  # type: ignore[arg-type]
        modes=mined.modes[i],
    )
