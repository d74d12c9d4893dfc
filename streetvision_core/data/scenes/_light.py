"""Weather and light: what the sky gives, what the haze takes, what lamps add at night."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from streetvision_core.data.scenes._camera import Array
from streetvision_core.data.scenes._canvas import Paint
from streetvision_core.types import FailureMode


def _none() -> Array:
    return np.empty((0, 3))


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """The light of one scene.

    Attributes:
        to_sun: unit vector towards the sun.
        sun: RGB factors of direct light; zero under clouds and at night.
        ambient: RGB factors of the sky's light.
        zenith: RGB of the sky overhead, 0..255.
        haze: RGB of the horizon, 0..255.
        density: haze per metre; light falls as exp(-density * metres).
        night: lamps and headlights are the light.
        wet: 0 dry .. 1 streaming road.
        glare: 0 none .. 1 sun low in the picture.
        cloud: share of the sky under clouds, 0..1.
        snow: whether the ground is white.
        lamps: street lamps [N, 3], metres in world axes.
    """

    to_sun: Array
    sun: Array
    ambient: Array
    zenith: Array
    haze: Array
    density: float
    night: bool = False
    wet: float = 0.0
    glare: float = 0.0
    cloud: float = 0.3
    lamps: Array = field(default_factory=_none)

    def with_lamps(self, lamps: Array) -> Light:
        """The same light with street lamps."""
        return replace(self, lamps=lamps)

    def clear(self, meters: float) -> float:
        """Share of light that crosses the haze."""
        return float(np.exp(-self.density * meters))

    def shade(self, normals: Array, position: Array, eye: Array, retro: Array | float = 0.0) -> Array:
        """RGB factors [N, 3] of surfaces with unit normals [N, 3], seen from `eye`.

        Args:
            normals: unit vectors [N, 3], world axes.
            position: where the surfaces are, one point [3] or a point each [N, 3].
            eye: where the camera is [3].
            retro: how strongly they throw headlights back, one number or one each [N].
        """
        up = normals[:, 1:2]
        out = self.ambient * (0.8 + 0.2 * up) + self.sun * np.clip(normals @ self.to_sun, 0, None)[:, None]
        if self.night:
            out = out + self._lamplight(position, eye, retro)
        return np.asarray(out)

    def _lamplight(self, position: Array, eye: Array, retro: Array | float) -> Array:
        away = position - eye
        meters = np.hypot(away[..., 0], away[..., 2]) + 1.0
        sideways = abs(away[..., 0]) / meters
        beam = np.exp(-((sideways / 0.45) ** 2)) / (1 + (meters / 16) ** 2)
        strength = 0.75 * beam + retro * 1.2 * np.exp(-meters / 70) * np.exp(-sideways)
        bright = np.array([0.95, 0.9, 0.8]) * strength[..., None]
        if len(self.lamps):
            near = ((self.lamps[:, [0, 2]] - position[..., None, [0, 2]]) ** 2).sum(axis=-1)
            bright = bright + np.array([1.0, 0.78, 0.5]) * 0.4 * (1 / (1 + near / 60)).sum(axis=-1)[..., None]
        return np.asarray(bright)

    def paints(self, positions: Array, eye: Array, retro: Array) -> list[Paint]:
        """The paints of upright things at [N, 3] without a single normal (trees, cones, people)."""
        away = eye - positions
        meters = np.sqrt((away * away).sum(axis=1, keepdims=True))
        normals = away / (meters + 1e-6) * 0.7 + self.to_sun * 0.3
        normals /= np.sqrt((normals * normals).sum(axis=1, keepdims=True))
        tints = self.shade(normals, positions, eye, retro)
        return self.as_paints(tints, meters[:, 0])

    def as_paints(self, tints: Array, meters: Array) -> list[Paint]:
        """Paints of given factors [N, 3] at given distances [N]."""
        red, green, blue = self.haze.tolist()
        clears = np.exp(-self.density * meters).tolist()
        return [
            Paint((r, g, b), (red, green, blue), clear) for (r, g, b), clear in zip(tints.tolist(), clears, strict=True)
        ]

    def as_paint(self, tint: Array, meters: float) -> Paint:
        """A paint of given factors at a given distance."""
        return Paint(
            (float(tint[0]), float(tint[1]), float(tint[2])),
            (float(self.haze[0]), float(self.haze[1]), float(self.haze[2])),
            self.clear(meters),
        )


def draw_light(rng: np.random.Generator, modes: Collection[FailureMode] | None) -> Light:
    """Draws a scene's light.

    Args:
        rng: the dice.
        modes: exactly these of night, rain, fog, glare; None draws them (about half of the scenes have none).
    """
    wanted = _draw_modes(rng) if modes is None else frozenset(modes)
    if "night" in wanted:
        light = _night(rng)
    elif "glare" in wanted:
        light = _glare(rng)
    elif "rain" in wanted or "fog" in wanted:
        light = _overcast(rng)
    else:
        light = _fair(rng) if rng.random() < 0.65 else _overcast(rng)
    if "rain" in wanted:
        light = replace(light, wet=float(rng.uniform(0.5, 1)), density=light.density + float(rng.uniform(0.002, 0.006)))
    if "fog" in wanted:
        light = replace(light, density=float(rng.uniform(0.018, 0.045)), cloud=1.0)
    return light


def light_modes(light: Light) -> frozenset[FailureMode]:
    """The failure modes a light means."""
    tests: dict[FailureMode, bool] = {
        "night": light.night,
        "rain": light.wet > 0,
        "fog": light.density >= 0.015,
        "glare": light.glare > 0,
    }
    return frozenset(mode for mode, holds in tests.items() if holds)


def _draw_modes(rng: np.random.Generator) -> frozenset[FailureMode]:
    dice = rng.random(4)
    chances: dict[FailureMode, float] = {"night": 0.16, "rain": 0.16, "fog": 0.1, "glare": 0.1}
    drawn = {mode for (mode, chance), d in zip(chances.items(), dice, strict=True) if d < chance}
    if "night" in drawn or "rain" in drawn or "fog" in drawn:
        drawn.discard("glare")
    return frozenset(drawn)


def _direction(rng: np.random.Generator, low: float, high: float, spread: float = np.pi) -> Array:
    azimuth, elevation = rng.uniform(-spread, spread), np.radians(rng.uniform(low, high))
    flat = np.cos(elevation)
    return np.array([np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat])


def _fair(rng: np.random.Generator) -> Light:
    warm = rng.uniform(0, 1)
    to_sun = _direction(rng, 18, 65)
    sun = np.array([0.72, 0.68 - 0.05 * warm, 0.6 - 0.14 * warm]) * rng.uniform(0.8, 1.1)
    ambient = np.array([0.5, 0.53, 0.58]) * rng.uniform(0.85, 1.1)
    zenith = np.array([70, 120, 190]) * rng.uniform(0.75, 1.15) + rng.uniform(0, 30)
    haze = np.array([196, 210, 226]) * rng.uniform(0.9, 1.05) + np.array([12, 0, -16]) * warm
    return Light(to_sun, sun, ambient, zenith, haze, rng.uniform(0.0008, 0.003), cloud=float(rng.uniform(0, 0.7)))


def _overcast(rng: np.random.Generator) -> Light:
    level = rng.uniform(0.75, 1.05)
    haze = np.array([203, 207, 212]) * level
    zenith = haze * rng.uniform(0.72, 0.95)
    ambient = np.array([0.82, 0.85, 0.89]) * level
    sun = np.array([0.1, 0.1, 0.09]) * level
    return Light(_direction(rng, 40, 70), sun, ambient, zenith, haze, rng.uniform(0.0015, 0.005), cloud=1.0)


def _glare(rng: np.random.Generator) -> Light:
    to_sun = _direction(rng, 6, 16, spread=0.4)
    haze = np.array([255, 232, 188]) * rng.uniform(0.92, 1.0)
    zenith = np.array([120, 150, 190]) * rng.uniform(0.85, 1.1)
    ambient = np.array([0.56, 0.5, 0.45]) * rng.uniform(0.8, 1.05)
    sun = np.array([0.85, 0.66, 0.42])
    strength = float(rng.uniform(0.6, 1.0))
    return Light(to_sun, sun, ambient, zenith, haze, rng.uniform(0.002, 0.006), glare=strength, cloud=0.2)


def _night(rng: np.random.Generator) -> Light:
    glow = rng.uniform(0.4, 1.0)
    haze = np.array([34, 31, 34]) * glow + np.array([6, 3, 0])
    zenith = np.array([8, 9, 16]) * glow
    ambient = np.array([0.085, 0.085, 0.1]) * (0.6 + 0.7 * glow)
    return Light(_direction(rng, 30, 60), np.zeros(3), ambient, zenith, haze, 0.003, night=True, cloud=0.5)
