"""Which labels may be taken without a person, and in which order a person should see the others.

A posterior says how sure the label model thinks it is; whether that may be acted on is certified on reviewed frames it
was not fitted on: "of the labels taken on this side at most alpha are wrong, with probability 1 - delta"
(`calibration.exits`). What cannot be certified is not taken.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.exits import ExitBand, certify_band
from streetvision_core.errors import DataError
from streetvision_core.mining.labelmodel import LabelModel

Doubles = npt.NDArray[np.float64]
_CERTIFY_SHARE: Final = 0.6
"""Of the labelled groups; certifying needs more of them than counting does."""


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """A label model and the band outside of which its word is taken; `model` is None before anything is labelled."""

    model: LabelModel | None
    band: ExitBand
    labelled: int

    @classmethod
    def fit(
        cls,
        said: Doubles,
        labels: npt.NDArray[np.int8],
        groups: Sequence[str],
        sources: Sequence[str],
        *,
        precision: float,
        delta: float = 0.05,
    ) -> Judge:
        """Fits on some groups of the labelled frames and certifies on the others.

        Args:
            said: float64 [N, S], see `LabelModel.fit`.
            labels: int8 [N], of reviewed frames; -1 is left out.
            groups: of each frame; a group is on one side only.
            sources: S names.
            precision: share of taken labels that must be right, on each side.
            delta: chance that the certificate is wrong.
        """
        if not 0.5 < precision < 1:
            raise DataError(f"precision {precision}", "above 0.5 and below 1", "set annotate.precision, e.g. to 0.97")
        known = labels >= 0
        certifies = np.array([_draw(group) < _CERTIFY_SHARE for group in groups], bool)
        teach, prove = known & ~certifies, known & certifies
        never = ExitBand.never(f"{int(known.sum())} reviewed frames are too few", 1 - precision, delta)
        if len(set(labels[teach].tolist())) < 2 or not prove.any():
            return cls(None, never, int(known.sum()))
        model = LabelModel.fit(said[teach], labels[teach], sources)
        kept = [group for group, used in zip(groups, prove, strict=True) if used]
        band = certify_band(model.posterior(said[prove]), labels[prove], kept, 1 - precision, delta)
        return cls(model, band, int(known.sum()))

    def posterior(self, said: Doubles) -> Doubles:
        """P(road work), [N]; 0.5 for all before anything is labelled."""
        return self.model.posterior(said) if self.model is not None else np.full(len(said), 0.5)

    def accepted(self, p: Doubles) -> npt.NDArray[np.bool_]:
        """Which labels are taken without a person."""
        return np.asarray(self.band.exits_low(p) | self.band.exits_high(p), np.bool_)


def queue(p: Doubles, groups: Sequence[str]) -> list[int]:
    """Rows in the order a person should see them: least certain first, one of each group before a second of any.

    Example:
        >>> queue(np.array([0.9, 0.5, 0.52, 0.2]), ["a", "b", "b", "c"])
        [1, 3, 0, 2]
    """
    seen: Counter[str] = Counter()
    turns = []
    for row in np.argsort(np.abs(p - 0.5), kind="stable").tolist():
        turns.append((seen[groups[row]], abs(float(p[row]) - 0.5), row))
        seen[groups[row]] += 1
    return [row for *_, row in sorted(turns)]


def _draw(group: str) -> float:
    """By the group's name alone, so that a group stands on the same side every day."""
    return int.from_bytes(hashlib.sha256(b"accept:" + group.encode()).digest()[:4], "big") / 2**32
