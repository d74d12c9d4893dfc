"""What a calibration was made with, so that it is never used with anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from streetvision_core.errors import CalibrationMismatchError

CALIBRATE_AGAIN = (
    "run: streetvision calibrate, which registers a version for these detectors, then put it into service with the "
    "command it prints; or set models.detectors back"
)


@dataclass(frozen=True, slots=True)
class Share:
    """Rows of one origin and the independent groups among them; None where nobody counted them."""

    rows: int
    groups: int | None


@dataclass(frozen=True, slots=True)
class CalibrationFacts:
    """What a calibration was made with.

    Attributes:
        backbone: name of the frozen backbone.
        preprocessing: name and version.
        detectors: `name@version`, in the profile's order; None where nobody wrote it down.
        world: `real`, `rendered` or, of versions that did not record it, `unknown`; `rendered` never serves.
        prevalence: share of road work the threshold is for.
        rule: the scoring rule the threshold is for.
        origins: CALIBRATE rows and groups by origin.
    """

    backbone: str
    preprocessing: str
    detectors: tuple[str, ...] | None
    world: str
    prevalence: float
    rule: str
    origins: Mapping[str, Share] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """CALIBRATE rows of all origins."""
        return sum(share.rows for share in self.origins.values())

    @property
    def groups(self) -> int | None:
        """Independent groups of all origins; None where nobody counted them."""
        counts = [share.groups for share in self.origins.values()]
        return None if None in counts else sum(count or 0 for count in counts)

    def check_detectors(self, detectors: Sequence[str]) -> None:
        """Refuses detectors whose evidence these calibrators have never seen.

        Args:
            detectors: `name@version` of those that will run, in the profile's order.

        Raises:
            CalibrationMismatchError: they differ; nothing is checked where nobody wrote down what they were.
        """
        if self.detectors is not None and tuple(detectors) != self.detectors:
            raise CalibrationMismatchError(
                got=f"the detectors {', '.join(detectors) or 'none'}",
                allowed=f"{', '.join(self.detectors) or 'none'}, which this calibration was made with",
                action=CALIBRATE_AGAIN,
                detectors=list(detectors),
                made_with=list(self.detectors),
            )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CalibrationFacts:
        """The inverse of `to_dict`."""
        names = data["detectors"]
        origins = {origin: Share(**share) for origin, share in data["origins"].items()}
        return cls(**{**data, "detectors": None if names is None else tuple(names), "origins": origins})


def shares(origins: Sequence[str], groups: Sequence[str]) -> dict[str, Share]:
    """Rows and groups by origin, in the order of names.

    Example:
        >>> shares(["clips", "clips", "stills"], ["boston", "boston", "s1"])["clips"]
        Share(rows=2, groups=1)
    """
    seen: dict[str, list[str]] = {}
    for origin, group in zip(origins, groups, strict=True):
        seen.setdefault(origin, []).append(group)
    return {origin: Share(len(names), len(set(names))) for origin, names in sorted(seen.items())}
