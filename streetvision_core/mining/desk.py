"""The reviewer's desk: the annotations and decisions of the days, wherever the reviewer sits.

FiftyOne's App, the command line and a spreadsheet all decide through it, so that there is one store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from streetvision_core.errors import DataError
from streetvision_core.mining import review
from streetvision_core.mining.annotate import Annotation, load_annotations
from streetvision_core.mining.objects import OBJECTS_FILE, FoundBySource, load_objects
from streetvision_core.mining.review import By, Choice, Decision, ReviewedLabel

ANNOTATIONS_FILE: Final = "annotations.json"
DECISIONS_FILE: Final = "decisions.csv"
"""The store; mining reads it and never writes it."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class DayReview:
    """How far a day's review has come: frames by state, and who decided them."""

    day: str
    shown: int
    open: int
    accepted: int
    flipped: int
    set_aside: int
    by: dict[str, int]


@dataclass(frozen=True, slots=True)
class ReviewDesk:
    """The days below one folder.

    Attributes:
        folder: `data/days`; each day has a folder `YYYY-MM-DD`.
    """

    folder: Path

    def days(self) -> list[str]:
        """The days that have been annotated, oldest first."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{ANNOTATIONS_FILE}"))

    def store(self, day: str) -> Path:
        """The file that holds a day's decisions.

        Raises:
            DataError: not a day, so nothing outside the folder can be named.
        """
        if not _DAY.fullmatch(day):
            raise DataError(f"the day {day!r}", "YYYY-MM-DD", "name a day that was mined")
        return self.folder / day / DECISIONS_FILE

    def annotations(self, day: str) -> list[Annotation]:
        """What was put before the reviewer.

        Raises:
            DataError: the day was not mined.
        """
        path = self.store(day).with_name(ANNOTATIONS_FILE)
        if not path.exists():
            raise DataError(
                got=f"no annotations of {day}",
                allowed=f"a mined day: {', '.join(self.days()) or 'there is none'}",
                action=f"run: streetvision select --day {day}",
                day=day,
            )
        return load_annotations(path)

    def decisions(self, day: str) -> list[Decision]:
        """All decisions about a day, in the order they were made."""
        store = self.store(day)
        return review.import_csv(store) if store.exists() else []

    def objects(self, day: str) -> dict[str, FoundBySource]:
        """What annotation found in a day's frames, by frame and source; empty where nobody looked.

        Raises:
            DataError: not a day, or a broken file.
        """
        return load_objects(self.store(day).with_name(OBJECTS_FILE))

    def labels(self, day: str) -> dict[str, ReviewedLabel]:
        """The final label of each frame of a day, by id."""
        return {label.id: label for label in review.apply(self.annotations(day), self.decisions(day))}

    def decide(
        self, day: str, name: str, choice: Choice, *, reviewer: str, tag: str = "", reason: str = "", by: By = "human"
    ) -> ReviewedLabel:
        """Records one decision, made now.

        Returns:
            The frame's label with it.

        Raises:
            DataError: an unknown choice or frame, a tag without a word, or nobody as reviewer.
        """
        if choice not in review.CHOICES or not reviewer.strip() or (choice == "tag" and not tag):
            raise DataError(
                got=f"choice {choice!r}, tag {tag!r}, reviewer {reviewer!r}",
                allowed=f"one of {', '.join(review.CHOICES)}; a tag with tag; somebody as reviewer",
                action="decide again",
            )
        # Microseconds, so that two key strokes never bear the same time.
        decision = Decision(name, choice, tag, reviewer.strip(), datetime.now(UTC).isoformat(), by, reason)
        annotations = self.annotations(day)
        review.record(self.store(day), [decision], annotations)
        return next(label for label in review.apply(annotations, self.decisions(day)) if label.id == name)

    def write_sheet(self, day: str, path: Path) -> int:
        """Writes a day's sheet, decisions included; returns how many frames are still undecided."""
        annotations, decisions = self.annotations(day), self.decisions(day)
        review.export_csv(path, annotations, decisions)
        return self.progress(day).open

    def read_sheet(self, day: str, path: Path, reviewer: str = "") -> int:
        """Adds a filled-in sheet's decisions to the day's store; returns how many were new.

        Raises:
            DataError: the sheet cannot be read, or speaks of frames of another day; nothing is then recorded.
        """
        decisions = review.import_csv(path, reviewer, datetime.now(UTC))
        return review.record(self.store(day), decisions, self.annotations(day))

    def progress(self, day: str) -> DayReview:
        """How far a day's review has come."""
        labels = list(self.labels(day).values())
        choices = [label.decision.choice if label.decision else "" for label in labels]
        by: dict[str, int] = {}
        for label in labels:
            if label.decision is not None:
                who = f"{label.decision.reviewer} ({label.decision.decided_by})"
                by[who] = by.get(who, 0) + 1
        counts = {name: choices.count(name) for name in ("", "accept", "flip", "set-aside")}
        return DayReview(day, len(labels), counts[""], counts["accept"], counts["flip"], counts["set-aside"], by)
