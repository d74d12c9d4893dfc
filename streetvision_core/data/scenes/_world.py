"""What stands where: items in road coordinates, the light, and the way the camera takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streetvision_core.data.scenes._camera import Array
from streetvision_core.data.scenes._light import Light
from streetvision_core.data.scenes._mesh import Color, Shape
from streetvision_core.data.scenes._road import Road
from streetvision_core.types import DeviceClass


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in the world.

    Attributes:
        shape: what paints it.
        s: metres along the road at time 0.
        d: metres to the right of the centre line.
        yaw: turn against the road's direction, radians.
        h: height of its origin, metres.
        label: its class if it is a work-zone device.
        speed: metres per second along s.
        backdrop: long things (houses, rails) that are painted by their far end.
        shadow: whether it shades the ground.
    """

    shape: Shape
    s: float
    d: float
    yaw: float = 0.0
    h: float = 0.0
    label: DeviceClass | None = None
    speed: float = 0.0
    backdrop: bool = False
    shadow: bool = True


@dataclass(frozen=True, slots=True)
class Patch:
    """A four-cornered piece of ground in road coordinates (s0, s1, d0, d1): crossings, repairs, pits."""

    s0: float
    s1: float
    d0: float
    d1: float
    color: Color


@dataclass(frozen=True, slots=True)
class Crack:
    """A thin dark line on the ground: (s, d) points, width in metres."""

    points: tuple[tuple[float, float], ...]
    width: float
    color: Color


@dataclass(frozen=True, slots=True)
class Lens:
    """How the dashcam sits and sees.

    Attributes:
        height_m: above the road.
        view: horizontal field of view, radians.
        yaw: radians to the right of the road.
        pitch: radians down.
        roll: radians clockwise.
        bonnet: share of the picture's height the bonnet takes, 0 for none.
    """

    height_m: float
    view: float
    yaw: float
    pitch: float
    roll: float
    bonnet: float


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A whole scene.

    Attributes:
        seed: its seed.
        road: the road.
        items: everything that stands or moves.
        patches: painted or dug pieces of ground, in painting order.
        cracks: lines of tar and joints of pavements.
        light: weather.
        lens: the camera.
        way: (s, d) knots of the camera's path, metres.
        speed: of the camera, metres per second.
        skyline: number of the horizon's outline.
        wear: unevenness of the asphalt's brightness.
    """

    seed: int
    road: Road
    items: tuple[Item, ...]
    patches: tuple[Patch, ...]
    cracks: tuple[Crack, ...]
    light: Light
    lens: Lens
    way: tuple[tuple[float, float], ...]
    speed: float
    skyline: int
    wear: float

    def offset(self, s: float) -> float:
        """Where across the road the camera drives at s."""
        return float(np.interp(s, [k[0] for k in self.way], [k[1] for k in self.way]))


@dataclass(slots=True)
class Draft:
    """A scene in the making: makers add items and patches."""

    road: Road
    rng: np.random.Generator
    night: bool = False
    items: list[Item] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    cracks: list[Crack] = field(default_factory=list)
    lamps: list[Array] = field(default_factory=list)

    def add(
        self,
        shape: Shape,
        s: float,
        d: float,
        yaw: float = 0.0,
        h: float = 0.0,
        label: DeviceClass | None = None,
        *,
        speed: float = 0.0,
        backdrop: bool = False,
        shadow: bool = True,
    ) -> None:
        """Adds one item; see `Item`."""
        self.items.append(Item(shape, s, d, yaw, h, label, speed, backdrop, shadow))

    def chance(self, share: float) -> bool:
        """True with the given probability."""
        return bool(self.rng.random() < share)

    def pick(self, count: int) -> int:
        """A number below `count`."""
        return int(self.rng.integers(count))

    def choose(self, options: Sequence[int]) -> int:
        """One of the numbers."""
        return options[self.pick(len(options))]

    def uniform(self, low: float, high: float) -> float:
        """A number between two, in either order."""
        return low + float(self.rng.random()) * (high - low)
