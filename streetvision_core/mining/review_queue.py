"""The frames that were put before a reviewer, day by day, and how far the review has come.

What was shown lies in each day's `annotations.json`: a proposal and why it was mined. What was decided lies in the
label store alone. FiftyOne's App, the command line and a CSV sheet all decide through it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Literal, get_args

from streetvision_core.errors import DataError
from streetvision_core.labels import Decision, Label, LabelStore, Source
from streetvision_core.mining.annotate import Annotation, load_annotations
from streetvision_core.mining.objects import OBJECTS_FILE, FoundBySource, load_objects

ANNOTATIONS_FILE: Final = "annotations.json"
Choice = Literal["accept", "flip", "set-aside", "tag"]
"""About the label that is shown: keep it, take the other one, or set the frame aside; `tag` only adds a word."""
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}(_to_\d{4}-\d{2}-\d{2})?")


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One shown frame and what holds for it.

    Attributes:
        day: the day whose mining chose it.
        shown: what the reviewer was shown.
        label: what holds, whoever said it; None where nobody has.
        decision: the newest word of a person; None where no person has looked.
        tags: all words given to the image.
    """

    day: str
    shown: Annotation
    label: Label | None
    decision: Decision | None
    tags: tuple[str, ...] = ()

    @property
    def choice(self) -> Choice | None:
        """The person's decision in terms of the label that was shown; None while it is open."""
        if self.decision is None:
            return None
        if self.decision.label is None:
            return "set-aside"
        return "accept" if self.decision.label == self.shown.label else "flip"


@dataclass(frozen=True, slots=True)
class DayReview:
    """How far a day's review has come: frames by state, and who decided how many."""

    day: str
    shown: int
    open: int
    accepted: int
    flipped: int
    set_aside: int
    by: dict[str, int]

    @property
    def reviewed(self) -> int:
        """Frames that a person has decided about."""
        return self.shown - self.open


@dataclass(frozen=True, slots=True)
class Backlog:
    """Shown frames that no person has decided about: how many, and since which day."""

    open: int
    oldest_day: str | None

    def age_days(self, today: date) -> int:
        """How many days the oldest has waited, 0 where nothing waits."""
        if self.oldest_day is None:
            return 0
        return max(0, (today - date.fromisoformat(self.oldest_day[:10])).days)


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """The days below one folder, and the store of labels.

    Attributes:
        folder: `data/days`; each day has a folder `YYYY-MM-DD`.
        store: where decisions are kept.
    """

    folder: Path
    store: LabelStore

    @classmethod
    def of_data(cls, data: Path) -> ReviewQueue:
        """The queue of a workspace's data folder."""
        return cls(data / "days", LabelStore(data / "labels.sqlite"))

    def days(self) -> list[str]:
        """The days that were mined, oldest first."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{ANNOTATIONS_FILE}"))

    def shown(self, day: str) -> list[Annotation]:
        """What was put before the reviewer.

        Raises:
            DataError: not a day, or one that was not mined.
        """
        path = self._file(day, ANNOTATIONS_FILE)
        if not path.exists():
            raise DataError(
                got=f"no frames of {day} to review",
                allowed=f"a mined day: {', '.join(self.days()) or 'there is none'}",
                action=f"run: streetvision select --day {day[:10]}",
                day=day,
            )
        return [a for a in load_annotations(path) if a.label is not None]

    def objects(self, day: str) -> dict[str, FoundBySource]:
        """What annotation found in a day's frames, by frame and source; empty where nobody looked.

        Raises:
            DataError: not a day, or a broken file.
        """
        return load_objects(self._file(day, OBJECTS_FILE))

    def frames(self, day: str) -> list[Reviewed]:
        """The shown frames of a day with what holds for each."""
        labels, people = self.store.labels(), _words_of_people(self.store.decisions())
        tags = {image: tuple(sorted({t for d in said for t in d.tags})) for image, said in people.items()}
        return [
            Reviewed(day, a, labels.get(a.sha256), _newest(people.get(a.sha256, ())), tags.get(a.sha256, ()))
            for a in self.shown(day)
        ]

    def decide(
        self,
        day: str,
        name: str,
        choice: Choice,
        *,
        reviewer: str,
        tag: str = "",
        reason: str = "",
        source: Source = "person",
    ) -> Reviewed:
        """Records one decision, made now, and returns the frame with it.

        Raises:
            DataError: an unknown choice or frame, a tag without a word, or nobody as reviewer.
        """
        if choice not in CHOICES or not reviewer.strip() or (choice == "tag" and not tag):
            raise DataError(
                got=f"choice {choice!r}, tag {tag!r}, reviewer {reviewer!r}",
                allowed=f"one of {', '.join(CHOICES)}; a tag with tag; somebody as reviewer",
                action="decide again",
            )
        day, shown = self._find(day, name)
        decision = decision_about(
            shown, choice, who=reviewer.strip(), when=datetime.now(UTC), tag=tag, why=reason, source=source
        )
        self.store.record_decisions([decision])
        return self._frame(day, name)

    def undo(self, day: str, name: str, reviewer: str) -> Reviewed:
        """Withdraws a reviewer's newest word about a frame, and returns the frame as it is then.

        Raises:
            DataError: no such frame.
            LabelStoreError: this reviewer has decided nothing about it.
        """
        day, shown = self._find(day, name)
        self.store.undo(shown.sha256, reviewer, datetime.now(UTC))
        return self._frame(day, name)

    def progress(self, day: str) -> DayReview:
        """How far a day's review has come."""
        frames = self.frames(day)
        states = Counter(frame.choice for frame in frames)
        by = Counter(frame.decision.who for frame in frames if frame.decision is not None)
        return DayReview(
            day, len(frames), states[None], states["accept"], states["flip"], states["set-aside"], dict(by)
        )

    def backlog(self) -> Backlog:
        """What waits for a person, over all days."""
        waiting = [(day, self.progress(day).open) for day in self.days()]
        oldest = next((day for day, n in waiting if n), None)
        return Backlog(sum(n for _, n in waiting), oldest)

    def _frame(self, day: str, name: str) -> Reviewed:
        return next(frame for frame in self.frames(day) if frame.shown.id == name)

    def _find(self, day: str, name: str) -> tuple[str, Annotation]:
        """A frame and the day that showed it: the named day, else any; a night may handle queries of several days."""
        self._file(day, ANNOTATIONS_FILE)
        for other in (day, *reversed(self.days())):
            found = next((a for a in (self.shown(other) if other in self.days() else ()) if a.id == name), None)
            if found is not None:
                return other, found
        raise DataError(
            got=f"a decision about {name!r} of {day}",
            allowed="a frame that was put before the reviewer",
            action=f"run: streetvision review export --day {day[:10]} sheet.csv",
            name=name,
        )

    def _file(self, day: str, name: str) -> Path:
        """A day's file; nothing outside the folder can be named."""
        if not _DAY.fullmatch(day):
            raise DataError(f"the day {day!r}", "YYYY-MM-DD", "name a day that was mined")
        return self.folder / day / name


def decision_about(
    shown: Annotation,
    choice: Choice,
    *,
    who: str,
    when: datetime,
    tag: str = "",
    why: str = "",
    source: Source = "person",
) -> Decision:
    """A choice about the label that was shown, as a decision about the image that stands by itself."""
    return Decision(
        image=shown.sha256,
        label={"accept": shown.label, "flip": 1 - (shown.label or 0), "set-aside": None, "tag": None}[choice],
        source=source,
        who=who,
        when=when,
        why=why,
        tags=(tag,) if tag else (),
        query=shown.id,
        only_tags=choice == "tag",
    )


def _words_of_people(decisions: Sequence[Decision]) -> dict[str, list[Decision]]:
    said: dict[str, list[Decision]] = {}
    for decision in decisions:
        if decision.source == "person":
            said.setdefault(decision.image, []).append(decision)
    return said


def _newest(said: Sequence[Decision]) -> Decision | None:
    about_label = [d for d in said if not d.only_tags]
    return max(reversed(about_label), key=lambda d: d.when, default=None)
