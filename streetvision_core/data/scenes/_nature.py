"""Trees, bushes, heaps and what stands on the horizon."""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Color, Plane, blank, grime, noise_tile
from streetvision_core.data.scenes._canvas import Texture
from streetvision_core.data.scenes._mesh import Billboard
from streetvision_core.types import Pixels

TREES: Final = 14
BUSHES: Final = 5
_LEAVES: Final[tuple[Color, ...]] = (
    (74, 104, 46), (58, 88, 42), (92, 116, 54), (66, 98, 58), (48, 76, 40), (84, 108, 44),
    (222, 122, 34), (206, 154, 44), (178, 72, 38), (228, 138, 30),
)  # fmt: skip
"""The last four are autumn leaves: orange, and no road work."""


@cache
def tree(variant: int) -> Billboard:
    """A tree, variants 0..TREES-1: 0..9 broad-leaved (6..9 in autumn colours), 10..12 conifers, 13 bare."""
    rng = np.random.default_rng([21, variant])
    picture = blank(288, 240)
    bark: Color = (78, 64, 52)
    cv2.fillConvexPoly(picture, np.array([[114, 130], [126, 130], [131, 287], [109, 287]]), (*bark, 255), cv2.LINE_AA)
    _branches(picture, rng, bark, 52 if variant == 13 else 24)
    if variant < 10:
        _crown(picture, rng, _LEAVES[variant])
    elif variant < 13:
        _conifer(picture, rng, (44 + 6 * (variant - 10), 72, 48))
    height_m = float(rng.uniform(6, 11)) + (2 if variant >= 10 else 0)
    return Billboard(Texture(grime(picture, 0.12, variant)), height_m * 240 / 288, height_m)


def _branches(picture: Pixels, rng: np.random.Generator, bark: Color, spread: float) -> None:
    """Boughs from the trunk, twigs from the boughs; only a bare tree shows them far out."""
    for _ in range(18):
        start = (120 + int(rng.normal(0, 2)), int(rng.uniform(105, 185)))
        end = (int(np.clip(120 + rng.normal(0, spread), 20, 220)), int(rng.uniform(45 if spread < 40 else 15, 110)))
        cv2.line(picture, start, end, (*bark, 255), int(rng.integers(2, 5)), cv2.LINE_AA)
        for _ in range(8 if spread > 40 else 0):
            share = rng.uniform(0.4, 1.0)
            fork = (int(start[0] + share * (end[0] - start[0])), int(start[1] + share * (end[1] - start[1])))
            tip = (int(np.clip(fork[0] + rng.normal(0, 16), 4, 236)), max(3, fork[1] - int(rng.uniform(4, 26))))
            cv2.line(picture, fork, tip, (*bark, 255), 1, cv2.LINE_AA)


def _crown(picture: Pixels, rng: np.random.Generator, leaf: Color) -> None:
    lobes = np.stack([rng.normal(120, 36, 9), rng.normal(92, 30, 9), rng.uniform(26, 44, 9)], axis=1)
    spots = []
    for x, y, radius in lobes:
        angle, reach = rng.uniform(0, 2 * np.pi, 110), np.sqrt(rng.uniform(0, 1, 110)) * radius
        spots.append(np.stack([x + reach * np.cos(angle), y + 0.85 * reach * np.sin(angle)], axis=1))
    points = np.concatenate(spots)
    points = points[np.argsort(-points[:, 1] + rng.normal(0, 30, len(points)))]
    for x, y in points:
        # light comes from above left, the belly of the crown is dark
        bright = 0.95 - 0.3 * (y - 90) / 90 - 0.12 * (x - 120) / 110 + rng.normal(0, 0.13)
        color = tuple(float(np.clip(c * bright, 0, 255)) for c in leaf)
        cv2.circle(picture, (int(x), int(y)), int(rng.integers(3, 8)), (*color, 255), -1, cv2.LINE_AA)


def _conifer(picture: Pixels, rng: np.random.Generator, leaf: Color) -> None:
    for y in np.linspace(255, 8, 420):
        half = (y / 265) * 66 * rng.uniform(0.55, 1.05)
        x = 120 + rng.uniform(-1, 1) * half
        bright = 0.8 - 0.35 * (x - 120) / 70 + rng.normal(0, 0.14)
        color = tuple(float(np.clip(c * bright, 0, 255)) for c in leaf)
        cv2.ellipse(picture, (int(x), int(y)), (10, 4), float(rng.uniform(-30, 30)), 0, 360, (*color, 255), -1)


@cache
def bush(variant: int) -> Billboard:
    """A bush or a piece of hedge, variants 0..BUSHES-1."""
    rng = np.random.default_rng([22, variant])
    picture = blank(128, 224)
    leaf = _LEAVES[variant]
    count = 420
    x, y = rng.normal(112, 48, count), 127 - np.abs(rng.normal(0, 40, count))
    for px, py in sorted(zip(x, y, strict=True), key=lambda p: p[1]):
        if not 8 < px < 216 or py < 10:
            continue
        bright = 0.6 + 0.5 * (127 - py) / 110 + rng.normal(0, 0.12)
        color = tuple(float(np.clip(c * bright, 0, 255)) for c in leaf)
        cv2.circle(picture, (int(px), int(py)), int(rng.integers(3, 9)), (*color, 255), -1, cv2.LINE_AA)
    height_m = float(rng.uniform(0.9, 1.8))
    return Billboard(Texture(picture), height_m * 224 / 128, height_m)


@cache
def heap(variant: int) -> Billboard:
    """A heap of earth, gravel or asphalt."""
    color: Color = ((126, 96, 66), (142, 136, 126), (58, 56, 56))[variant % 3]
    picture = blank(96, 224)
    xs = np.arange(224)
    profile = 90 * np.exp(-(((xs - 112) / 62) ** 2)) + 3 * noise_tile()[variant, :224]
    ys = np.arange(96)[:, None]
    inside = (96 - ys) < profile[None, :]
    light = 1.1 - 0.45 * (xs[None, :] / 224) + 0.1 * noise_tile()[:96, :224]
    picture[..., :3] = np.clip(np.array(color) * light[..., None], 0, 255).astype(np.uint8)
    picture[..., 3] = np.where(inside, 255, 0)
    return Billboard(Texture(picture), 3.6, 1.5)


@cache
def skyline(variant: int) -> Plane:
    """Heights of the horizon in radians over 1024 steps of azimuth: hills, woods or roofs."""
    rng = np.random.default_rng([23, variant])
    tile = noise_tile()
    row = int(rng.integers(512))
    smooth = cv2.GaussianBlur(np.concatenate([tile[row], tile[row][::-1]])[None, :], (0, 0), 20.0)[0]
    rough = np.concatenate([tile[(row + 99) % 512], tile[(row + 99) % 512][::-1]])
    if variant % 3 == 2:
        steps = np.repeat(rng.uniform(0.012, 0.06, 64), 16)
        return np.asarray(steps, np.float32)
    height = 0.028 + 0.014 * smooth + (0.005 if variant % 3 else 0.0015) * rough
    return np.asarray(np.clip(height, 0.004, None), np.float32)
