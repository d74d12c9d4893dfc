"""A decision about one image, and the label that holds for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from streetvision_core.errors import LabelStoreError

Source = Literal["person", "renderer", "machine", "caller"]
SOURCES: Final[tuple[Source, ...]] = get_args(Source)
"""In order of precedence: a person beats the renderer's truth, that a certified machine, that a caller of the API."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about one image.

    Attributes:
        image: hex sha256 of the image's bytes.
        label: 1 road work, 0 none, None: set aside, the image is too ambiguous to learn from.
        source: what kind of decider.
        who: the person's name, or the program's, e.g. `label-model`.
        when: aware; kept in UTC.
        why: in the decider's words.
        tags: words about the image, usually failure modes.
        query: name of the query it was decided on, e.g. `query-17`; None where there was none.
        only_tags: nothing is decided about the label, only tags are added.
    """

    image: str
    label: int | None
    source: Source
    who: str
    when: datetime
    why: str = ""
    tags: tuple[str, ...] = ()
    query: str | None = None
    only_tags: bool = False

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.image):
            raise _refused(f"the image {self.image!r}", "the hex sha256 of its bytes")
        if self.label not in (0, 1, None):
            raise _refused(f"the label {self.label!r}", "1 road work, 0 none, None to set aside")
        if self.source not in SOURCES:
            raise _refused(f"the source {self.source!r}", ", ".join(SOURCES))
        if not self.who.strip():
            raise _refused("a decision by nobody", "a name in who")
        if self.when.tzinfo is None:
            raise _refused(f"the time {self.when} without a zone", "an aware datetime, e.g. datetime.now(UTC)")
        if self.only_tags and (self.label is not None or not self.tags):
            raise _refused(f"only tags with label {self.label} and tags {self.tags}", "tags and no label")
        object.__setattr__(self, "when", self.when.astimezone(UTC))
        object.__setattr__(self, "tags", tuple(sorted(set(self.tags))))

    @property
    def content(self) -> tuple[object, ...]:
        """What it says, without when it was said and on which query."""
        return (self.image, self.label, self.source, self.who, self.why, self.tags, self.only_tags)


@dataclass(frozen=True, slots=True)
class Label:
    """What holds for one image.

    Attributes:
        image: hex sha256 of its bytes.
        label: 1 road work, 0 none, None: set aside.
        source: whose word it is.
        who: the name.
        when: when it was decided, UTC.
        why: in the decider's words.
        tags: all words given to the image and not withdrawn.
    """

    image: str
    label: int | None
    source: Source
    who: str
    when: datetime
    why: str = ""
    tags: frozenset[str] = field(default_factory=frozenset)


def resolve_labels(decisions: Iterable[Decision]) -> dict[str, Label]:
    """The label of each image: the best source's newest word; of two at one moment the one that comes later here.

    Images about which only tags were given have no label and are left out.

    Example:
        >>> noon, one = datetime(2026, 11, 23, 12, tzinfo=UTC), "1" * 64
        >>> caller = Decision(one, 0, "caller", "app", noon)
        >>> resolve_labels([Decision(one, 1, "person", "anna", noon.replace(hour=9)), caller])[one].label
        1
    """
    best: dict[str, Decision] = {}
    tags: dict[str, set[str]] = {}
    for decision in decisions:
        tags.setdefault(decision.image, set()).update(decision.tags)
        held = best.get(decision.image)
        if not decision.only_tags and (held is None or _rank(decision) >= _rank(held)):
            best[decision.image] = decision
    return {image: _label(decision, tags) for image, decision in best.items()}


def _rank(decision: Decision) -> tuple[int, datetime]:
    return -SOURCES.index(decision.source), decision.when


def _label(d: Decision, tags: Mapping[str, set[str]]) -> Label:
    return Label(d.image, d.label, d.source, d.who, d.when, d.why, frozenset(tags[d.image]))


def _refused(got: str, allowed: str) -> LabelStoreError:
    return LabelStoreError(got=got, allowed=allowed, action="correct the decision and record it again")
