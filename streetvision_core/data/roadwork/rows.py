"""One image of a source with what its makers say of it, and which images belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

PLACE_DECIMALS: Final = 3
"""A place is a cell of a thousandth of a degree, some 110 m of latitude: a work zone and the drive past it."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row.

    Attributes:
        id: unique within its source.
        label: 1 road work, 0 none, None where the source does not say.
        description: what the makers say the scene shows; empty where they say nothing.
        video: the video it was cut from, or empty.
        sequence: the sequence within the video, or empty.
        place: latitude and longitude in degrees, or None.
        city: as the makers name it, or empty.
        tags: their tags of the whole scene, e.g. weather.
    """

    id: str
    label: int | None
    description: str = ""
    video: str = ""
    sequence: str = ""
    place: tuple[float, float] | None = None
    city: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> SourceRow:
        """Reads the fields as ROADWork's JSON and NATIX' Parquet have them, nested or with dotted names."""
        info = _nested(fields, "video_info")
        label = fields.get("label")
        return cls(
            id=str(fields.get("id", "")),
            label=int(label) if label in (0, 1) else None,
            description=_text(fields.get("scene_description")),
            video=_text(info.get("vid_id")),
            sequence=_text(info.get("seq_id")),
            place=_place(fields.get("gps")),
            city=_text(fields.get("city_name")),
            tags={name: _text(value) for name, value in _nested(fields, "scene_level_tags").items() if _text(value)},
        )


def validators_rule(row: SourceRow) -> bool:
    """Whether a validator may draw this row: described scenes are its road work, undescribed ones its streets without.

    It drops rows with a description and label 0, and rows without one and label 1.
    """
    return bool(row.description) == (row.label == 1)


def join_groups(rows: Sequence[SourceRow], origin: str) -> list[str]:
    """A group for each row: rows of one video, one sequence or one place are not independent.

    Args:
        rows: of one source.
        origin: goes before the group's name.

    Returns:
        names such as `natix/video=12`; a row with none of the three is its own group.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for row in rows:
        first, *others = _ties(row)
        for other in others:
            a, b = sorted((root(first), root(other)))
            parent[b] = a
    return [f"{origin}/{root(_ties(row)[0])}" for row in rows]


def _ties(row: SourceRow) -> list[str]:
    """What the row has in common with others; its own id where nothing is known."""
    ties = [f"video={row.video}"] if row.video else []
    if row.sequence:
        ties.append(f"sequence={row.video}/{row.sequence}")
    if row.place is not None:
        ties.append("place=" + ",".join(f"{degrees:.{PLACE_DECIMALS}f}" for degrees in row.place))
    return ties or [f"id={row.id}"]


def _nested(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    inner = fields.get(name)
    dotted = {key.removeprefix(f"{name}."): value for key, value in fields.items() if key.startswith(f"{name}.")}
    return {**(dict(inner) if isinstance(inner, Mapping) else {}), **dotted}


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()  # NaN stands for nothing in flattened tables


def _place(value: Any) -> tuple[float, float] | None:
    """Latitude and longitude of `[lat, lon]`, `"lat, lon"` or a mapping; None where it is neither or off the globe."""
    if isinstance(value, Mapping):
        value = [value.get("lat", value.get("latitude")), value.get("lon", value.get("lng", value.get("longitude")))]
    parts = value.strip("()[] ").split(",") if isinstance(value, str) else value
    try:
        latitude, longitude = (float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None
