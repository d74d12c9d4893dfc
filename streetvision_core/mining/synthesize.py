"""Frames rendered to order: more of what the day's mined errors have in common.

Each order comes as twins: the same street with and without road work, both under the ordered condition, so that the
next head cannot learn that road work means rain. A mode that says how devices are seen (far, small, occlusion) holds
for the twin with road work only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.data import scenes
from streetvision_core.errors import DataError
from streetvision_core.images.challenge import sample
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.images.provenance import into_jpeg
from streetvision_core.mining import seeds
from streetvision_core.mining._rows import QueryRow
from streetvision_core.storage import atomic_write_bytes, atomic_write_json
from streetvision_core.types import ERAS, Era, FailureMode

RENDERED_MODES: Final[tuple[FailureMode, ...]] = ("night", "rain", "fog", "glare", "occlusion", "far", "small")
DEVICE_MODES: Final[frozenset[FailureMode]] = frozenset({"occlusion", "far", "small"})
PLAIN_SHARE: Final = 0.2
"""Share of pairs under no ordered condition, so that the head does not forget the ordinary street."""
ORIGIN: Final = "rendered-synthetic"
MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Order:
    """So many pairs under one condition; None is an ordinary street. `errors` is how many errors asked for it."""

    mode: FailureMode | None
    pairs: int
    errors: int


@dataclass(frozen=True, slots=True)
class SyntheticPlan:
    """What to render, and which asked modes the rendered world cannot make."""

    orders: tuple[Order, ...]
    left_out: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames the plan gives."""
        return 2 * sum(order.pairs for order in self.orders)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "frames": self.frames}


@dataclass(frozen=True, slots=True)
class SyntheticFrame:
    """One rendered frame with its provenance.

    Attributes:
        id: name in feature tables.
        jpeg_bytes: the image, in its era.
        label: 1 road work, 0 none.
        era: image regime.
        level: augmentation level of the era.
        group: the street; both twins share it.
        mode: the ordered mode, None for an ordinary street.
        modes: the failure modes the frame has.
        seed: of the rendered world, in `seeds.SYNTHETIC`.
        origin: always `rendered-synthetic`.
    """

    id: str
    jpeg_bytes: bytes
    label: int
    era: Era
    level: int
    group: str
    mode: FailureMode | None
    modes: tuple[FailureMode, ...]
    seed: int
    origin: str = ORIGIN

    def provenance(self) -> dict[str, Any]:
        """Everything but the pixels."""
        return {name: value for name, value in asdict(self).items() if name != "jpeg_bytes"}


def count_error_modes(
    rows: Iterable[QueryRow], modes_of: Callable[[QueryRow], Iterable[FailureMode]] = lambda row: row.modes
) -> dict[FailureMode, int]:
    """How often each failure mode occurs among wrong answers; rows of unknown truth do not count.

    Args:
        rows: logged queries, usually the mined ones after review.
        modes_of: the modes of a row; the logged ones unless given.
    """
    return dict(Counter(mode for row in rows if row.wrong for mode in modes_of(row)).most_common())


def plan(error_modes: Mapping[FailureMode, int], frames: int, plain_share: float = PLAIN_SHARE) -> SyntheticPlan:
    """Shares out frames among the failure modes of a day's errors.

    Args:
        error_modes: errors per failure mode.
        frames: frames wanted; an odd one is left out because frames come as twins.
        plain_share: share of pairs under no ordered condition. Without errors all pairs are.

    Example:
        >>> [(order.mode, order.pairs) for order in plan({"fog": 3, "night": 1}, 20).orders]
        [('fog', 6), ('night', 2), (None, 2)]
    """
    wanted = {mode: n for mode, n in error_modes.items() if n > 0 and mode in RENDERED_MODES}
    left_out = tuple(sorted(mode for mode, n in error_modes.items() if n > 0 and mode not in RENDERED_MODES))
    pairs = frames // 2
    plain = round(pairs * plain_share) if wanted else pairs
    shares = _largest_remainder(wanted, pairs - plain)
    orders = [Order(mode, shares[mode], wanted[mode]) for mode in wanted if shares[mode]]
    orders.sort(key=lambda order: (-order.pairs, order.mode or ""))
    if plain:
        orders.append(Order(None, plain, 0))
    return SyntheticPlan(tuple(orders), left_out)


def render_plan(plan: SyntheticPlan, *, day_index: int, seed: int = 0) -> Iterator[SyntheticFrame]:
    """Renders a plan, pair after pair.

    Args:
        plan: the orders.
        day_index: 0 for the project's first day.
        seed: the project's seed; the same arguments give the same bytes.

    Raises:
        DataError: the day's block of seeds is used up, or lies beyond the project's last day.
    """
    block = iter(seeds.block(seeds.SYNTHETIC, seed=seed, day_index=day_index))
    for order in plan.orders:
        for _ in range(order.pairs):
            yield from _next_pair(order.mode, block)


def write_frames(frames: Iterable[SyntheticFrame], plan: SyntheticPlan, folder: Path) -> list[dict[str, Any]]:
    """Writes images with their provenance inside, then a manifest; without it the folder is not complete.

    Returns:
        The manifest's records, each with the image's `path` relative to the folder.
    """
    records = []
    for frame in frames:
        path = Path("images") / f"{frame.id}.jpg"
        atomic_write_bytes(folder / path, into_jpeg(frame.jpeg_bytes, {"synthetic": True, **frame.provenance()}))
        records.append({**frame.provenance(), "path": str(path)})
    atomic_write_json(folder / MANIFEST, {"plan": plan.to_dict(), "frames": records})
    return records


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The records `write_frames` wrote.

    Raises:
        DataError: there is no complete folder.
    """
    try:
        records: list[dict[str, Any]] = json.loads((folder / MANIFEST).read_text())["frames"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            got=f"{folder.name}: {error}",
            allowed="a folder that write_frames completed",
            action="run the synthesize step again",
            path=str(folder),
        ) from error
    return records


def _next_pair(mode: FailureMode | None, block: Iterator[int]) -> Iterator[SyntheticFrame]:
    for scene_seed in block:
        asked: Sequence[FailureMode] | None = None if mode is None else (mode,)
        try:
            twins = [scenes.render(scene_seed, roadwork=True, modes=asked)]
        except DataError:
            continue  # this street has no place where the mode holds; the next one may
        plain = None if asked is None else tuple(m for m in asked if m not in DEVICE_MODES)
        twins.append(scenes.render(scene_seed, roadwork=False, modes=plain))
        rng = np.random.default_rng([seeds.SYNTHETIC.start, scene_seed])
        era = ERAS[int(rng.integers(len(ERAS)))]
        for twin in twins:
            pixels, level = sample(twin.frame.pixels, era, rng)
            yield SyntheticFrame(
                id=f"synthetic-{scene_seed}-{twin.label}",
                jpeg_bytes=encode_jpeg(pixels),
                label=twin.label,
                era=era,
                level=level,
                group=f"synthetic-{scene_seed}",
                mode=mode,
                modes=tuple(sorted(twin.modes)),
                seed=scene_seed,
            )
        return
    raise DataError(
        got=f"no seed left for mode {mode}",
        allowed=f"{len(seeds.block(seeds.SYNTHETIC, seed=0))} scenes a day",
        action="lower loop.synthetic_per_day",
    )


def _largest_remainder(wanted: Mapping[FailureMode, int], total: int) -> dict[FailureMode, int]:
    """Whole shares that add up to the total and are as proportional as can be."""
    mass = sum(wanted.values())
    exact = {mode: total * n / mass for mode, n in wanted.items()}
    shares = {mode: int(value) for mode, value in exact.items()}
    by_remainder = sorted(exact, key=lambda mode: (shares[mode] - exact[mode], mode))
    for mode in by_remainder[: total - sum(shares.values())]:
        shares[mode] += 1
    return shares
