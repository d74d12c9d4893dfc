"""Times as people write them on a command line: ISO 8601, in UTC where no zone is given."""

from __future__ import annotations

from datetime import UTC, datetime

from streetvision_core.errors import RegistryError


def parse_time(text: str) -> datetime:
    """An aware time in UTC; a date is its first moment.

    Example:
        >>> parse_time("2026-11-23T14:30+01:00").isoformat()
        '2026-11-23T13:30:00+00:00'
        >>> parse_time("2026-11-23").isoformat()
        '2026-11-23T00:00:00+00:00'

    Raises:
        RegistryError: no date or time of this form.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RegistryError(
            got=f"the time {text!r} ({error})",
            allowed="ISO 8601: 2026-11-23, 2026-11-23T14:30, 2026-11-23T14:30:05Z, 2026-11-23T14:30+01:00",
            action="write e.g. streetvision versions served-at 2026-11-23T14:30+01:00",
        ) from error
