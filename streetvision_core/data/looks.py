"""What has been shown of a challenge set: each figure wears it out a little."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from streetvision_core.scoring.adaptive import answer_bits, deviation
from streetvision_core.storage import atomic_write_json


@dataclass(frozen=True, slots=True)
class Look:
    """Something that was shown of the set.

    Attributes:
        at: when, ISO 8601.
        version: the model that was measured.
        what: what was shown, in words.
        bits: how much it says, at most.
        best: the ladder's best accuracy after it; None where the ladder was not asked.
        yes: the answer to a question that is asked again and again; None for other figures.
    """

    at: str
    version: str
    what: str
    bits: float
    best: float | None = None
    yes: bool | None = None


class Looks:
    """What has been shown of one set. Showing the same of the same version again adds nothing.

    Args:
        path: its file.
        digest: the set's; looks at another set do not count.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        stored: Mapping[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self._others = {name: looks for name, looks in stored.items() if name != digest}
        self._digest = digest
        self.looks = [Look(**look) for look in stored.get(digest, [])]

    @property
    def bits(self) -> float:
        """All that has been shown: figures by their digits, questions asked again by how seldom the answer was yes."""
        answers: dict[str, list[bool]] = defaultdict(list)
        for look in self.looks:
            if look.yes is not None:
                answers[look.what].append(look.yes)
        figures = sum(look.bits for look in self.looks if look.yes is None)
        return figures + sum(answer_bits(len(said), sum(said)) for said in answers.values())

    @property
    def best(self) -> float | None:
        """The ladder's best accuracy."""
        return next((look.best for look in reversed(self.looks) if look.best is not None), None)

    def seen(self, version: str, what: str) -> Look | None:
        """The earlier look of the same kind at the same version."""
        return next((look for look in self.looks if (look.version, look.what) == (version, what)), None)

    def add(self, look: Look) -> None:
        """Remembers a look, unless it repeats one."""
        if self.seen(look.version, look.what) is None:
            self.looks.append(replace(look, bits=round(look.bits, 3)))
            stored = self._others | {self._digest: [asdict(one) for one in self.looks]}
            atomic_write_json(self.path, stored)

    def trust(self, groups: int, delta: float = 0.05) -> float:
        """The largest error that figures chosen with all looks in mind can have; see `scoring.adaptive`."""
        return deviation(self.bits, groups, delta)
