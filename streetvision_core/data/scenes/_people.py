"""People: workers in high-visibility clothes, and passers-by who only wear bright jackets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Color, blank, grime, shrink
from streetvision_core.data.scenes._canvas import Texture
from streetvision_core.data.scenes._mesh import Billboard
from streetvision_core.types import Pixels

WORKERS: Final = 16
WALKERS: Final = 14
_LIME: Final[Color] = (205, 240, 40)
_ORANGE: Final[Color] = (255, 105, 20)
_SILVER: Final[Color] = (226, 230, 230)
_SKINS: Final[tuple[Color, ...]] = ((226, 178, 148), (198, 142, 108), (140, 92, 64), (96, 62, 44))
_TONES: Final[tuple[Color, ...]] = (
    (40, 44, 60), (90, 90, 94), (150, 40, 44), (226, 110, 40), (236, 236, 230), (60, 90, 140),
    (70, 100, 64), (34, 34, 36),
)  # fmt: skip

_SCALE: Final = 4
_HEIGHT: Final = 224
_WIDTH: Final = 144


@dataclass(frozen=True, slots=True)
class _Outfit:
    top: Color
    legs: Color
    skin: Color
    helmet: Color | None
    vest: Color | None


@dataclass(frozen=True, slots=True)
class _Pose:
    """Joints in picture shares (x, y), feet at y = 1: hips, neck, head, then limbs as chains."""

    hips: tuple[float, float]
    neck: tuple[float, float]
    head: tuple[float, float]
    legs: tuple[tuple[tuple[float, float], ...], ...]
    arms: tuple[tuple[tuple[float, float], ...], ...]
    tool: str = ""


_POSES: Final[tuple[_Pose, ...]] = (
    _Pose((0.5, 0.53), (0.5, 0.2), (0.5, 0.1),
          (((0.46, 0.53), (0.44, 0.76), (0.43, 0.98)), ((0.54, 0.53), (0.56, 0.76), (0.57, 0.98))),
          (((0.39, 0.23), (0.35, 0.38), (0.37, 0.52)), ((0.61, 0.23), (0.65, 0.38), (0.62, 0.52)))),
    _Pose((0.5, 0.53), (0.49, 0.2), (0.48, 0.1),
          (((0.47, 0.53), (0.4, 0.75), (0.3, 0.97)), ((0.53, 0.53), (0.6, 0.74), (0.63, 0.98))),
          (((0.4, 0.23), (0.45, 0.38), (0.32, 0.48)), ((0.6, 0.23), (0.66, 0.37), (0.72, 0.47)))),
    _Pose((0.62, 0.55), (0.42, 0.33), (0.33, 0.27),
          (((0.6, 0.55), (0.56, 0.76), (0.62, 0.98)), ((0.65, 0.55), (0.7, 0.76), (0.76, 0.98))),
          (((0.4, 0.36), (0.34, 0.52), (0.26, 0.6)), ((0.48, 0.38), (0.44, 0.54), (0.36, 0.66))), "shovel"),
    _Pose((0.5, 0.53), (0.5, 0.2), (0.5, 0.1),
          (((0.46, 0.53), (0.45, 0.76), (0.45, 0.98)), ((0.54, 0.53), (0.56, 0.76), (0.57, 0.98))),
          (((0.39, 0.23), (0.3, 0.33), (0.24, 0.42)), ((0.61, 0.23), (0.65, 0.38), (0.62, 0.52))), "paddle"),
    _Pose((0.52, 0.62), (0.46, 0.36), (0.42, 0.27),
          (((0.5, 0.62), (0.38, 0.74), (0.42, 0.97)), ((0.56, 0.62), (0.66, 0.78), (0.62, 0.97))),
          (((0.4, 0.4), (0.34, 0.56), (0.3, 0.68)), ((0.54, 0.4), (0.46, 0.56), (0.38, 0.68)))),
)  # fmt: skip


@cache
def worker(variant: int) -> Billboard:
    """A road worker, variants 0..WORKERS-1; variants with remainder 3 of 5 hold a paddle."""
    rng = np.random.default_rng([11, variant])
    vest = _LIME if rng.random() < 0.55 else _ORANGE
    full = rng.random() < 0.4
    legs = vest if full else _TONES[int(rng.integers(2))]
    helmet: Color = ((250, 250, 246), (250, 205, 30), (255, 110, 30), (40, 90, 180))[int(rng.integers(4))]
    outfit = _Outfit(vest if full else _TONES[int(rng.integers(8))], legs, _SKINS[int(rng.integers(4))], helmet, vest)
    return _person(outfit, _POSES[variant % 5], variant, 0.55)


@cache
def flagger(variant: int) -> Billboard:
    """A worker with a STOP or SLOW paddle."""
    return worker(3 + 5 * (variant % 3))


@cache
def walker(variant: int) -> Billboard:
    """A passer-by, variants 0..WALKERS-1: no helmet, no bands; a few jackets are orange or red all the same."""
    rng = np.random.default_rng([12, variant])
    outfit = _Outfit(
        _TONES[variant % len(_TONES)], _TONES[int(rng.integers(2))], _SKINS[int(rng.integers(4))], None, None
    )
    return _person(outfit, _POSES[variant % 2], variant, 0.0)


def _person(outfit: _Outfit, pose: _Pose, variant: int, retro: float) -> Billboard:
    picture = blank(_HEIGHT * _SCALE, _WIDTH * _SCALE)
    back: Color = (0.72 * outfit.top[0], 0.72 * outfit.top[1], 0.72 * outfit.top[2])
    _limb(picture, pose.arms[1], 0.085, back if outfit.vest is None else outfit.top)
    for number, leg in enumerate(pose.legs):
        shade = 0.8 if number == 0 else 1.0
        _limb(picture, leg, 0.11, (outfit.legs[0] * shade, outfit.legs[1] * shade, outfit.legs[2] * shade))
        _limb(picture, (leg[-1], (leg[-1][0] - 0.05, leg[-1][1])), 0.06, (34, 30, 28))
        if outfit.vest is not None:
            _limb(picture, (_between(leg[1], leg[2], 0.35), _between(leg[1], leg[2], 0.5)), 0.11, _SILVER)
    _torso(picture, pose, outfit)
    _limb(picture, pose.arms[0], 0.085, outfit.top)
    for arm in pose.arms:
        _limb(picture, (arm[-1], arm[-1]), 0.06, outfit.skin)
    _head(picture, pose, outfit)
    _tool(picture, pose)
    picture = grime(shrink(picture, _SCALE), 0.08, variant)
    picture[..., :3] = (picture[..., :3] * _side_light()).astype(np.uint8)
    if variant % 2 and pose.tool != "paddle":
        picture = np.ascontiguousarray(picture[:, ::-1])
    height_m = 1.7 + 0.02 * (variant % 8)
    return Billboard(Texture(picture), height_m * _WIDTH / _HEIGHT, height_m, retro)


def _side_light() -> Pixels:
    light = np.linspace(1.0, 0.72, _WIDTH)[None, :, None]
    return np.asarray(light)


def _between(a: tuple[float, float], b: tuple[float, float], share: float) -> tuple[float, float]:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)


def _limb(picture: Pixels, chain: Sequence[tuple[float, float]], thick: float, color: Color) -> None:
    points = np.array([_at(p) for p in chain], np.int32)
    cv2.polylines(picture, [points], False, (*color, 255), round(thick * _WIDTH * _SCALE), cv2.LINE_AA)


def _at(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0] * _WIDTH * _SCALE), round(point[1] * _HEIGHT * _SCALE)


def _torso(picture: Pixels, pose: _Pose, outfit: _Outfit) -> None:
    color = outfit.vest if outfit.vest is not None else outfit.top
    _limb(picture, (pose.neck, _between(pose.neck, pose.hips, 0.1)), 0.16, outfit.skin)
    top, low = np.array(_at(pose.neck), float), np.array(_at(pose.hips), float)
    along = (low - top) / np.linalg.norm(low - top)
    across = np.array([along[1], -along[0]])
    unit = _WIDTH * _SCALE
    shape = [(0.06, 0.06), (0.14, 0.1), (0.125, 0.6), (0.135, 1.04)]
    length = float(np.linalg.norm(low - top))

    def at(side: float, half: float, share: float) -> list[float]:
        point = top + along * share * length + across * side * half * unit
        return [float(point[0]), float(point[1])]

    ring = [at(1, h, s) for h, s in shape] + [at(-1, h, s) for h, s in reversed(shape)]
    cv2.fillPoly(picture, [np.array(ring).astype(np.int32)], (*color, 255), cv2.LINE_AA)
    if outfit.vest is None:
        return
    for share in (0.62, 0.82):
        band = [at(1, 0.13, share), at(-1, 0.13, share), at(-1, 0.13, share + 0.1), at(1, 0.13, share + 0.1)]
        cv2.fillPoly(picture, [np.array(band).astype(np.int32)], (*_SILVER, 255), cv2.LINE_AA)
    for side in (-1, 1):
        strip = [at(side, 0.05, 0.04), at(side, 0.1, 0.06), at(side, 0.09, 0.62), at(side, 0.05, 0.62)]
        cv2.fillPoly(picture, [np.array(strip).astype(np.int32)], (*_SILVER, 255), cv2.LINE_AA)


def _head(picture: Pixels, pose: _Pose, outfit: _Outfit) -> None:
    center = _at(pose.head)
    size = (round(0.075 * _WIDTH * _SCALE), round(0.062 * _HEIGHT * _SCALE))
    cv2.ellipse(picture, center, size, 0, 0, 360, (*outfit.skin, 255), -1, cv2.LINE_AA)
    cover = outfit.helmet if outfit.helmet is not None else (52, 38, 28)
    high = (round(size[0] * 1.18), round(size[1] * 1.05))
    cv2.ellipse(picture, (center[0], center[1] - 6), high, 0, 180, 360, (*cover, 255), -1, cv2.LINE_AA)
    if outfit.helmet is not None:
        brim = (round(size[0] * 1.45), round(size[1] * 0.2))
        cv2.ellipse(picture, (center[0], center[1] - 8), brim, 0, 0, 360, (*cover, 255), -1, cv2.LINE_AA)


def _tool(picture: Pixels, pose: _Pose) -> None:
    hand = pose.arms[0][-1]
    if pose.tool == "shovel":
        _limb(picture, ((0.5, 0.5), (0.12, 0.86)), 0.03, (140, 104, 66))
        _limb(picture, ((0.14, 0.85), (0.07, 0.93)), 0.11, (110, 112, 116))
    elif pose.tool == "paddle":
        _limb(picture, ((hand[0], hand[1] + 0.5), (hand[0], 0.2)), 0.025, (190, 190, 190))
        center = _at((hand[0], 0.13))
        radius = round(0.17 * _WIDTH * _SCALE)
        angles = np.pi / 8 + np.arange(8) * np.pi / 4
        ring = np.stack([center[0] + radius * np.cos(angles), center[1] + radius * np.sin(angles)], axis=1)
        cv2.fillPoly(picture, [ring.astype(np.int32)], (196, 22, 34, 255), cv2.LINE_AA)
        cv2.putText(
            picture,
            "STOP",
            (center[0] - round(radius * 0.82), center[1] + round(radius * 0.25)),
            cv2.FONT_HERSHEY_SIMPLEX,
            radius / 55,
            (250, 250, 250, 255),
            7,
            cv2.LINE_AA,
        )
