"""What goes into the query log and what comes out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from streetvision_core.checked import checked_verdict, moment
from streetvision_core.errors import QueryLogError
from streetvision_core.types import ERAS, FAILURE_MODES, Era, FailureMode, Verdict

_DIGEST = re.compile(r"[0-9a-f]{64}")
COLUMNS = "received_at, day, sha256, era, group_name, origin, truth, modes, p_roadwork, model_version, verdict"


@dataclass(frozen=True, slots=True)
class NewQuery:
    """One answered query, not yet logged.

    Attributes:
        frame_bytes: the encoded image as it was received.
        verdict: the answer.
        era: the image regime it came in.
        group: frames that are not independent share it.
        origin: where it came from, e.g. `stream`, `http`, `sn72`.
        received_at: when, with a time zone.
        truth: 1 road work, 0 none, None unknown.
        modes: failure modes already known.
    """

    frame_bytes: bytes
    verdict: Verdict
    era: Era
    group: str
    origin: str
    received_at: datetime
    truth: int | None = None
    modes: Sequence[FailureMode] = ()

    def __post_init__(self) -> None:
        if not self.frame_bytes:
            raise _refused("an empty image", "the encoded bytes of the image")
        if self.era not in ERAS:
            raise _refused(f"era {self.era!r}", ", ".join(ERAS))
        if self.truth not in (None, 0, 1):
            raise _refused(f"truth {self.truth!r}", "0, 1 or None")
        if unknown := set(self.modes) - set(FAILURE_MODES):
            raise _refused(f"failure modes {sorted(unknown)}", ", ".join(FAILURE_MODES))
        if self.received_at.tzinfo is None:
            raise _refused("received_at without a time zone", "an aware datetime, e.g. datetime.now(UTC)")


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One logged query.

    Attributes:
        id: row number, rising in the order of logging.
        sha256: hex digest of the image's bytes; several rows may share one image.
        received_at: when it was received, UTC.
        era: the image regime it came in.
        group: frames that are not independent share it.
        origin: where it came from.
        truth: 1 road work, 0 none, None unknown.
        modes: failure modes known when it was logged.
        verdict: the answer, with all evidence.
    """

    id: int
    sha256: str
    received_at: datetime
    era: Era
    group: str
    origin: str
    truth: int | None
    modes: tuple[FailureMode, ...]
    verdict: Verdict

    @property
    def name(self) -> str:
        """The row's name in feature tables, mined sets, annotations and reviews."""
        return f"query-{self.id}"

    @property
    def wrong(self) -> bool | None:
        """Whether the answer is on the wrong side of 0.5; None where the truth is unknown."""
        return None if self.truth is None else self.verdict.roadwork != bool(self.truth)

    @property
    def day(self) -> str:
        """The UTC day, `YYYY-MM-DD`."""
        return self.received_at.date().isoformat()


def to_record(query: NewQuery, sha256: str) -> tuple[Any, ...]:
    """The values of one row, in the order of `COLUMNS`."""
    moment = query.received_at.astimezone(UTC)
    verdict = query.verdict
    return (
        moment.isoformat(timespec="microseconds"),
        moment.date().isoformat(),
        sha256,
        query.era,
        query.group,
        query.origin,
        query.truth,
        json.dumps(list(query.modes)),
        float(verdict.p_roadwork),
        verdict.model_version,
        json.dumps(verdict.to_dict()),
    )


def from_record(record: Sequence[Any]) -> QueryRow:
    """The inverse of `to_record`, for a record that starts with the row's id.

    Raises:
        ValueError: a damaged value; so do TypeError, KeyError, AttributeError and RecursionError.
    """
    number, received_at, _day, sha256, era, group, origin, truth, modes, p, _version, verdict = record
    # The JSON form rounds the probability, and 0.4999999 would come back as the forbidden 0.5; the column is exact.
    restored = checked_verdict(Verdict.from_dict({**json.loads(verdict), "p_roadwork": p}))
    known = tuple(json.loads(modes))
    if era not in ERAS or truth not in (None, 0, 1) or set(known) - set(FAILURE_MODES) or not _DIGEST.fullmatch(sha256):
        raise ValueError("an era, truth, failure mode or digest that is none")
    for text in (group, origin):
        text.encode()  # what was no UTF-8 in the file is none here
    return QueryRow(
        id=number,
        sha256=sha256,
        received_at=moment(received_at),
        era=cast("Era", era),
        group=group,
        origin=origin,
        truth=truth,
        modes=known,
        verdict=restored,
    )


def _refused(got: str, allowed: str) -> QueryLogError:
    return QueryLogError(got=got, allowed=allowed, action="mend the caller of QueryLog.append")
