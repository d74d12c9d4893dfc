"""The challenge set: fixed images that nothing was ever trained on.

The set is a list of images (`set.json`) whose digest is checked at each load; features are made from it, never kept as
part of it, so that a new backbone faces the same images. `TrainedGroups` remembers every group that ever taught, also
of days whose files are gone; what has been shown of the set is counted in `data.looks`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError, LeakError, ManifestError
from streetvision_core.storage import atomic_write_json, atomic_write_text
from streetvision_core.types import Era, FailureMode

SET_FILE: Final = "set.json"
NEAR_DUPLICATE: Final = 0.985
_BLOCK: Final = 2048


@dataclass(frozen=True, slots=True)
class ChallengeImage:
    """One image of the set.

    Attributes:
        id: its name in feature tables.
        label: 1 road work, 0 none.
        group: images that are not independent share it.
        origin: where it comes from.
        era: its image regime.
        modes: failure modes it shows, as far as they are known.
        source: where the pixels are: a path, `starter`, `rendered`.
    """

    id: str
    label: int
    group: str
    origin: str
    era: Era
    modes: tuple[FailureMode, ...]
    source: str


@dataclass(frozen=True, slots=True)
class ChallengeSet:
    """The fixed images, in order."""

    images: tuple[ChallengeImage, ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def digest(self) -> str:
        """Hex sha256 over every field of every image."""
        text = json.dumps([asdict(image) for image in self.images], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def groups(self) -> frozenset[str]:
        """The independent groups."""
        return frozenset(image.group for image in self.images)

    def parts(self) -> dict[str, npt.NDArray[np.int64]]:
        """Row numbers by part: `all`, each origin, each failure mode."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, image in enumerate(self.images):
            for name in ("all", image.origin, *image.modes):
                rows[name].append(row)
        ordered = ["all", *sorted(set(rows) - {"all"}, key=lambda name: (-len(rows[name]), name))]
        return {name: np.array(rows[name], np.int64) for name in ordered if name in rows}

    def counts(self) -> dict[str, int]:
        """Images by part."""
        return {name: len(rows) for name, rows in self.parts().items()}

    def check_disjoint(self, trained: TrainedGroups, table: FeatureTable | None, ours: FeatureTable | None) -> None:
        """Makes sure that nothing of the set has ever taught.

        Args:
            trained: every group that ever taught.
            table: rows that teach now; their features are compared too.
            ours: the set's own rows.

        Raises:
            LeakError: a group of the set has taught, or a row that teaches is nearly one of its images.
        """
        current = set(table.groups) if table is not None else set()
        if shared := sorted(group for group in self.groups if group in trained or group in current):
            raise LeakError(
                got=f"{len(shared)} groups of the challenge set that have taught, e.g. {', '.join(shared[:3])}",
                allowed="a challenge set whose groups never teach",
                action="take those rows out of the training data and train again; the set itself is never changed",
                groups=shared,
            )
        if table is not None and ours is not None and (found := _nearest(ours, table)) is not None:
            mine, theirs, cosine = found
            raise LeakError(
                got=f"training row {table.ids[theirs]} and challenge image {ours.ids[mine]} at cosine {cosine:.4f}",
                allowed=f"cosine below {NEAR_DUPLICATE}",
                action=f"take {table.ids[theirs]} out of the training data",
                rows=(ours.ids[mine], table.ids[theirs]),
            )

    def save(self, folder: Path) -> None:
        """Writes `set.json`.

        Raises:
            DataError: another set is there; a challenge set is never overwritten.
        """
        path = folder / SET_FILE
        if path.exists() and load_challenge_set(folder).digest != self.digest:
            raise DataError(
                got=f"another challenge set in {path}",
                allowed="one fixed set per workspace",
                action=f"keep it, or move {folder} away to begin a new history",
                path=str(path),
            )
        atomic_write_json(path, {"sha256": self.digest, "images": [asdict(image) for image in self.images]})


def load_challenge_set(folder: Path) -> ChallengeSet:
    """Reads and checks a set.

    Raises:
        DataError: there is none.
        ManifestError: it is not the one that was saved.
    """
    path = folder / SET_FILE
    try:
        data = json.loads(path.read_text())
        images = tuple(ChallengeImage(**{**entry, "modes": tuple(entry["modes"])}) for entry in data["images"])
        expected = str(data["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            got=f"{path}: {error}", allowed="a challenge set", action="run the data notebook", path=str(path)
        ) from error
    found = ChallengeSet(images)
    if found.digest != expected:
        raise ManifestError(
            got=f"{path.name} with sha256 {found.digest[:12]}",
            allowed=f"sha256 {expected[:12]}, as it was made",
            action=f"restore {path} from a backup; figures of a changed set compare with nothing",
            path=str(path),
        )
    return found


def choose(candidates: Sequence[ChallengeImage], n: int, seed: int = 0) -> ChallengeSet:
    """Draws a set that is even over labels and failure modes and spread over groups.

    One image of each group first, then a second, and so on; within a round, images of the rarest kind (label and
    modes) first, so that a mode that 3 % of the streets show is not 3 % of the set.

    Args:
        candidates: labelled images.
        n: how many; all of them if there are fewer.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(candidates)).tolist()
    taken: Counter[str] = Counter()
    rounds: dict[int, list[int]] = defaultdict(list)
    for row in order:
        group = candidates[row].group
        rounds[taken[group]].append(row)
        taken[group] += 1
    chosen: list[int] = []
    have: Counter[str] = Counter()
    for number in sorted(rounds):
        queues: dict[tuple[int, str], list[int]] = defaultdict(list)
        for row in rounds[number]:
            for kind in candidates[row].modes or ("plain",):
                queues[candidates[row].label, kind].append(row)
        used: set[int] = set()
        while len(chosen) < n and queues:
            key = min(queues, key=lambda k: (have[f"{k[0]}/{k[1]}"], k))
            row = queues[key].pop()
            if not queues[key]:
                del queues[key]
            if row in used:
                continue
            used.add(row)
            chosen.append(row)
            have.update(f"{candidates[row].label}/{kind}" for kind in candidates[row].modes or ("plain",))
    return ChallengeSet(tuple(candidates[row] for row in sorted(chosen)))


class TrainedGroups:
    """Every group that ever taught a head, a threshold or a detector; grows, never shrinks.

    Args:
        path: its file; one digest per line, so that a million groups are 17 MB and no name leaks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digests: set[str] = set(path.read_text().split()) if path.exists() else set()

    def __contains__(self, group: object) -> bool:
        return _short(str(group)) in self._digests

    def __len__(self) -> int:
        return len(self._digests)

    def remember(self, groups: Iterable[str]) -> None:
        """Takes groups in without writing them down."""
        self._digests |= {_short(group) for group in groups}

    def add(self, groups: Iterable[str]) -> None:
        """Takes groups in and writes all of them down."""
        before = set(self.path.read_text().split()) if self.path.exists() else set()
        self.remember(groups)
        if self._digests - before:
            atomic_write_text(self.path, "\n".join(sorted(self._digests)) + "\n")


def _short(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()[:16]


def _nearest(ours: FeatureTable, table: FeatureTable) -> tuple[int, int, float] | None:
    """The first pair at or above the near-duplicate cosine."""
    a = _unit(ours.features)
    for start in range(0, len(table), _BLOCK):
        cosine = a @ _unit(table.features[start : start + _BLOCK]).T
        if cosine.size and cosine.max() >= NEAR_DUPLICATE:
            mine, theirs = np.unravel_index(int(cosine.argmax()), cosine.shape)
            return int(mine), start + int(theirs), float(cosine[mine, theirs])
    return None


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
