"""What the loop hands to the workbench's process, and what it gets back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import WorkbenchError
from streetvision_core.mining._rows import QueryRow
from streetvision_core.mining.select import MinedItem
from streetvision_core.storage import atomic_write_bytes, atomic_write_json


@dataclass(frozen=True, slots=True)
class WorkbenchSample:
    """One frame on the workbench.

    Attributes:
        name: name of the query row.
        filepath: the image.
        verdict: the answer, as `Verdict.to_dict` gives it.
        p_roadwork: the exact probability.
        day: UTC day, `YYYY-MM-DD`.
        era: image regime.
        group: frames that are not independent share it.
        origin: where the query came from.
        truth: logged truth, None unknown.
        label: label after annotation and review, None unknown or set aside.
        modes: failure modes.
        reasons: why it was mined; empty if it was not.
        hardness: total hardness in [0, 1], None if not scored.
        components: each component of the hardness, ranked to [0, 1].
        annotator: who gave the label.
        label_quality: how well the label fits the image, in [0, 1]; None if not judged.
        suspect: whether the label is probably an error.
        split: the set it will be used in, for the search for leaks; empty if in none.
    """

    name: str
    filepath: str
    verdict: dict[str, Any]
    p_roadwork: float
    day: str
    era: str
    group: str
    origin: str
    truth: int | None = None
    label: int | None = None
    modes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    hardness: float | None = None
    components: Mapping[str, float] = field(default_factory=dict)
    annotator: str = ""
    label_quality: float | None = None
    suspect: bool = False
    split: str = ""

    @classmethod
    def from_row(
        cls,
        row: QueryRow,
        filepath: Path,
        *,
        item: MinedItem | None = None,
        label: int | None = None,
        modes: Sequence[str] | None = None,
        doubt: tuple[float | None, bool] = (None, False),
        split: str = "",
    ) -> Self:
        """Makes a sample of a logged query, with what mining and review said about it."""
        return cls(
            name=row.name,
            filepath=str(filepath),
            verdict=row.verdict.to_dict(),
            p_roadwork=row.verdict.p_roadwork,
            day=row.day,
            era=row.era,
            group=row.group,
            origin=row.origin,
            truth=row.truth,
            label=label,
            modes=tuple(row.modes if modes is None else modes),
            reasons=item.reasons if item else (),
            hardness=item.hardness if item else None,
            components=item.components if item else {},
            label_quality=doubt[0],
            suspect=doubt[1],
            split=split,
        )


@dataclass(frozen=True, slots=True, eq=False)
class WorkbenchJob:
    """All work of one day for one process.

    Attributes:
        project: name of the FiftyOne dataset.
        day: UTC day, `YYYY-MM-DD`; samples of the same day from an earlier run are replaced.
        samples: the frames.
        embeddings: float32 [N, D], our stored features, one row per sample.
        export: folder for `fiftyone/` and `classes/`; None exports nothing.
        days: `data/days`, whose review is shown; None shows none.
        near_duplicate_cosine: from which cosine on two frames count as near-duplicates.
        keep_days: days of samples the dataset keeps.
    """

    project: str
    day: str
    samples: Sequence[WorkbenchSample]
    embeddings: npt.NDArray[np.float32]
    export: Path | None = None
    days: Path | None = None
    near_duplicate_cosine: float = 0.985
    keep_days: int = 14

    def __post_init__(self) -> None:
        if not self.samples or len(self.samples) != len(self.embeddings):
            raise WorkbenchError(
                got=f"{len(self.samples)} samples and {len(self.embeddings)} embeddings",
                allowed="at least one sample and one embedding for each",
                action="give the features of the same rows",
            )

    def save(self, folder: Path) -> None:
        """Writes the job where `load` finds it."""
        import io

        buffer = io.BytesIO()
        np.save(buffer, np.asarray(self.embeddings, np.float32), allow_pickle=False)
        atomic_write_bytes(folder / "embeddings.npy", buffer.getvalue())
        plain = {name: getattr(self, name) for name in ("project", "day", "near_duplicate_cosine", "keep_days")}
        plain["samples"] = [asdict(sample) for sample in self.samples]
        plain |= {name: str(path) if (path := getattr(self, name)) else None for name in ("export", "days")}
        atomic_write_json(folder / "job.json", plain)

    @classmethod
    def load(cls, folder: Path) -> WorkbenchJob:
        """Reads what `save` wrote."""
        plain = json.loads((folder / "job.json").read_text())
        samples = tuple(WorkbenchSample(**sample) for sample in plain.pop("samples"))
        plain |= {name: Path(plain[name]) if plain[name] else None for name in ("export", "days")}
        embeddings = np.load(folder / "embeddings.npy", allow_pickle=False)
        return cls(samples=samples, embeddings=embeddings, **plain)


@dataclass(frozen=True, slots=True)
class WorkbenchResult:
    """What the workbench did.

    Attributes:
        dataset: name of the FiftyOne dataset.
        samples: samples of the day.
        total: samples of all days the dataset keeps.
        near_duplicates: samples of the day that have a near-duplicate before them.
        leaks: samples with a near-duplicate in another split; None with fewer than two splits.
        hardest: names of the day's ten hardest samples by entropy.
        unusual: names of the day's ten most unique samples.
        views: saved views of the day and of the project.
        runs: keys of all Brain runs the dataset holds, those of earlier days among them.
        exports: folder per export format.
        seconds: wall time per step.
        notes: what was left out and why.
    """

    dataset: str
    samples: int
    total: int
    near_duplicates: int
    leaks: int | None
    hardest: tuple[str, ...]
    unusual: tuple[str, ...]
    views: tuple[str, ...]
    runs: tuple[str, ...] = ()
    exports: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "exports": dict(self.exports), "seconds": dict(self.seconds)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkbenchResult:
        """The inverse of `to_dict`."""
        lists = {name: tuple(data[name]) for name in ("hardest", "unusual", "views", "runs", "notes")}
        return cls(**{**data, **lists})
