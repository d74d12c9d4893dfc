"""The dashcam: a pinhole with height, pitch, yaw and roll.

World axes: x right, y up, z forward, metres. Camera axes: x right, y down, z forward. Pixels count from the corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

NEAR: Final = 0.4
"""Metres before the lens where polygons are cut."""

_NO_CORNERS: Final = np.empty((0, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera.

    Attributes:
        width: pixels.
        height: pixels.
        focal: focal length in pixels.
        position: [3] metres in world axes.
        rotation: [3, 3] world to camera.
        center: principal point in pixels.
    """

    width: int
    height: int
    focal: float
    position: Array
    rotation: Array
    center: tuple[float, float]

    @classmethod
    def looking(
        cls, width: int, height: int, focal: float, position: Array, angles: tuple[float, float, float]
    ) -> Camera:
        """A camera at `position` with (yaw right, pitch down, roll clockwise) in radians."""
        yaw, pitch, roll = angles
        forward = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
        down = np.cross(right, forward)
        turned = np.stack(
            [np.cos(roll) * right + np.sin(roll) * down, -np.sin(roll) * right + np.cos(roll) * down, forward]
        )
        return cls(width, height, focal, position, turned, (width / 2, height / 2))

    def smaller(self, factor: int) -> Camera:
        """The same view for a picture of 1 / factor of the pixels each way."""
        return Camera(
            self.width // factor,
            self.height // factor,
            self.focal / factor,
            self.position,
            self.rotation,
            (self.center[0] / factor, self.center[1] / factor),
        )

    def to_camera(self, points: Array) -> Array:
        """World points [N, 3] in camera axes."""
        return np.asarray((points - self.position) @ self.rotation.T)

    def to_pixels(self, points: Array) -> Array:
        """Camera points [N, 3], all with z > 0, as pixels [N, 2]."""
        scale = self.focal / points[:, 2:3]
        return np.asarray(points[:, :2] * scale + self.center)

    def project_polygons(self, points: Array, counts: Sequence[int]) -> list[Array]:
        """Many world polygons at once: `points` holds one after the other, `counts` how many corners each has.

        Those before the lens that lie beside the picture come back without corners.
        """
        if not counts:
            return []
        seen = self.to_camera(points)
        depth = seen[:, 2].copy()
        np.maximum(seen[:, 2], NEAR, out=seen[:, 2])
        pixels = self.to_pixels(seen)
        seen[:, 2] = depth
        lengths = np.array(counts, np.intp)
        stops = np.cumsum(lengths)
        starts = stops - lengths
        whole = np.minimum.reduceat(depth, starts) >= NEAR
        low, high = np.minimum.reduceat(pixels, starts), np.maximum.reduceat(pixels, starts)
        beside = whole & ((high < 0) | (low > (self.width, self.height))).any(axis=1)
        return [
            _NO_CORNERS if aside else pixels[start:stop] if fits else self.cut_and_project(seen[start:stop])
            for start, stop, fits, aside in zip(
                starts.tolist(), stops.tolist(), whole.tolist(), beside.tolist(), strict=True
            )
        ]

    def project_polygon(self, points: Array) -> Array:
        """World polygon [N, 3] as pixels [M, 2], cut at the near plane; M = 0 when it lies behind."""
        return self.cut_and_project(self.to_camera(points))

    def cut_and_project(self, seen: Array) -> Array:
        """Camera polygon [N, 3] as pixels [M, 2], cut at the near plane."""
        if seen[:, 2].min() < NEAR:
            seen = _cut_near(seen)
        return self.to_pixels(seen) if len(seen) else _NO_CORNERS

    def ray_parts(
        self, columns: int, rows: int, first: int = 0
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Parts [columns, 3] and [rows - first, 3] of the world directions, camera z of 1, of a coarser grid of pixels.

        The direction of a pixel is the sum of its column's and its row's part.
        """
        u = ((np.arange(columns) + 0.5) * self.width / columns - self.center[0]) / self.focal
        v = ((np.arange(first, rows) + 0.5) * self.height / rows - self.center[1]) / self.focal
        across = u[:, None] * self.rotation[0]
        along = v[:, None] * self.rotation[1] + self.rotation[2]
        return across.astype(np.float32), along.astype(np.float32)

    @property
    def horizon(self) -> float:
        """Row of the horizon in the middle column, pixels."""
        forward_y, down_y = self.rotation[2, 1], self.rotation[1, 1]
        return float(self.center[1] - self.focal * forward_y / down_y)


def _cut_near(points: Array) -> Array:
    kept: list[tuple[float, float, float]] = []
    ring = points.tolist()
    for (x, y, z), (x1, y1, z1) in zip(ring, ring[1:] + ring[:1], strict=True):
        if z >= NEAR:
            kept.append((x, y, z))
        if (z >= NEAR) != (z1 >= NEAR):
            part = (NEAR - z) / (z1 - z)
            kept.append((x + part * (x1 - x), y + part * (y1 - y), z + part * (z1 - z)))
    return np.array(kept) if len(kept) >= 3 else np.empty((0, 3))
