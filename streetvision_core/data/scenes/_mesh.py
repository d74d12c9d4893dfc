"""Solid things: convex parts with flat or textured faces.

Object axes: x right, y up, z along the object's heading, metres, origin on the ground below the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from streetvision_core.data.scenes._camera import Array
from streetvision_core.data.scenes._canvas import Texture

Color = tuple[float, float, float]
Rect = tuple[float, float, float, float]

MIDDLE: Final = slice(0, 3)
PART: Final = slice(3, 6)
NORMAL: Final = slice(6, 9)
COLOR: Final = slice(9, 12)
"""Columns of a mesh's table: middle of the face and of its part, outer normal, RGB."""
EMIT: Final = 12
DETAIL: Final = 13
PLAIN: Final = 14
RETRO: Final = 15
NARROW: Final = 16
CORNERS: Final = 17
"""Own light, size in metres if it is a detail on another face (else infinite), whether it is of one colour, how
strongly it throws headlights back, a detail's narrow side in metres, the less the fainter it is, number of corners."""
_CLEAR: Final = 0.12
"""Share of full brightness by which a detail stands out clearly from the face below."""


@dataclass(frozen=True, slots=True)
class Face:
    """One polygon: corners as vertex numbers, seen only when the owner's outer side is seen.

    Attributes:
        corners: vertex numbers; a textured face has four, from the upper left, clockwise seen from outside.
        color: RGB 0..255; multiplies nothing when a texture is there.
        part: number of the convex part it belongs to.
        owner: number of the face whose side decides visibility (itself, or the face a decal lies on).
        emit: own light as a colour factor.
        retro: how strongly it throws headlights back, 0..1.
        texture: painted instead of the colour.
    """

    corners: tuple[int, ...]
    color: Color
    part: int
    owner: int
    emit: float = 0.0
    retro: float = 0.0
    texture: Texture | None = None


@dataclass(slots=True)
class MeshBuilder:
    """Collects parts; `build` freezes them."""

    vertices: list[tuple[float, float, float]] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    parts: int = 0

    def loft(self, low: Rect, high: Rect, y0: float, y1: float, color: Color, emit: float = 0.0) -> dict[str, int]:
        """A solid between the rectangles (x0, x1, z0, z1) at heights y0 and y1; returns face numbers by name."""
        base = len(self.vertices)
        for (x0, x1, z0, z1), y in ((low, y0), (high, y1)):
            self.vertices += [(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)]
        rings = {
            "back": (4, 5, 1, 0),
            "right": (5, 6, 2, 1),
            "front": (6, 7, 3, 2),
            "left": (7, 4, 0, 3),
            "top": (7, 6, 5, 4),
            "bottom": (0, 1, 2, 3),
        }
        names = {}
        for name, ring in rings.items():
            names[name] = len(self.faces)
            corners = tuple(base + i for i in ring)
            self.faces.append(Face(corners, color, self.parts, len(self.faces), emit))
        self.parts += 1
        if y1 - y0 > 0.3 and not emit:
            self._weather(names, low, high, y0, y1, color)
        return names

    def _weather(self, names: dict[str, int], low: Rect, high: Rect, y0: float, y1: float, color: Color) -> None:
        """Dirt along the foot and light along the top edge of the sides."""
        for start, stop, tone in ((0.0, 0.2, 0.84), (0.2, 0.34, 0.93), (0.88, 1.0, 1.07)):
            shade: Color = (min(255.0, color[0] * tone), min(255.0, color[1] * tone), min(255.0, color[2] * tone))
            a, b = [[lo + (hi - lo) * share for lo, hi in zip(low, high, strict=True)] for share in (start, stop)]
            ya, yb = y0 + (y1 - y0) * start, y0 + (y1 - y0) * stop
            for name, i, j in (("back", (0, 2), (1, 2)), ("front", (0, 3), (1, 3)), ("left", (0, 2), (0, 3)),
                               ("right", (1, 2), (1, 3))):  # fmt: skip
                ring = [(b[i[0]], yb, b[i[1]]), (b[j[0]], yb, b[j[1]]), (a[j[0]], ya, a[j[1]]), (a[i[0]], ya, a[i[1]])]
                self.decal(names[name], ring, shade)

    def box(self, rect: Rect, y0: float, y1: float, color: Color, emit: float = 0.0) -> dict[str, int]:
        """An upright box over the rectangle (x0, x1, z0, z1)."""
        return self.loft(rect, rect, y0, y1, color, emit)

    def prism(self, profile: Sequence[tuple[float, float]], x0: float, x1: float, color: Color) -> tuple[int, int]:
        """A convex profile of (z, y) points, clockwise seen from the right, drawn out from x0 to x1.

        Returns:
            The face numbers of the left and the right side.
        """
        base, count = len(self.vertices), len(profile)
        self.vertices += [(x0, y, z) for z, y in profile] + [(x1, y, z) for z, y in profile]
        first = len(self.faces)
        self.faces.append(Face(tuple(base + i for i in range(count)), color, self.parts, first))
        right = tuple(base + count + i for i in range(count))
        self.faces.append(Face(right, color, self.parts, first + 1))
        for i in range(count):
            j = (i + 1) % count
            ring = (base + i, base + j, base + count + j, base + count + i)
            self.faces.append(Face(ring, color, self.parts, len(self.faces)))
        self.parts += 1
        return first, first + 1

    def decal(
        self,
        owner: int,
        points: Sequence[tuple[float, float, float]],
        color: Color = (255, 255, 255),
        emit: float = 0.0,
        retro: float = 0.0,
        texture: Texture | None = None,
    ) -> None:
        """A polygon lying on face `owner`."""
        base = len(self.vertices)
        self.vertices += list(points)
        corners = tuple(range(base, base + len(points)))
        self.faces.append(Face(corners, color, self.faces[owner].part, owner, emit, retro, texture))

    def build(self) -> Mesh:
        """The frozen mesh."""
        return Mesh(np.array(self.vertices, float), tuple(self.faces), self.parts)


class Mesh:
    """A solid thing.

    Attributes:
        vertices: corners of all faces, object axes [V, 3], metres.
        faces: the polygons.
        low: lowest corner of its box.
        high: highest corner of its box.
        table: what painting asks of every face [F, 18]; columns `MIDDLE` to `CORNERS`.
        rings: the first four corners of every face [F, 4].
        corners: all corners of every face.
    """

    def __init__(self, vertices: Array, faces: tuple[Face, ...], parts: int) -> None:
        self.vertices = vertices
        self.faces = faces
        self.low, self.high = vertices.min(axis=0), vertices.max(axis=0)
        part_of = np.array([face.part for face in faces])
        middles = np.array([vertices[list(face.corners)].mean(axis=0) for face in faces])
        part_middles = np.array([middles[part_of == part].mean(axis=0) for part in range(parts)])
        flags = [
            (
                face.emit,
                self._sides(face)[2] if face.owner != number else np.inf,
                face.texture is None,
                face.retro,
                self._sides(face)[1] * self._contrast(face, faces) if face.owner != number else np.inf,
                len(face.corners),
            )
            for number, face in enumerate(faces)
        ]
        normals, colors = self._outer_normals(middles, part_middles), np.array([face.color for face in faces])
        self.table = np.hstack([middles, part_middles[part_of], normals, colors, np.array(flags, float)])
        self.rings = np.array([(*face.corners, face.corners[-1])[:4] for face in faces])
        self.corners = [np.array(face.corners) for face in faces]

    def _sides(self, face: Face) -> Array:
        """The extents of a face along the axes, the longest last."""
        return np.sort(np.ptp(self.vertices[list(face.corners)], axis=0))

    def _contrast(self, face: Face, faces: tuple[Face, ...]) -> float:
        """How clearly a detail stands out from the face it lies on, 0..1."""
        if face.texture is not None or face.emit or face.retro:
            return 1.0
        below = faces[face.owner].color
        return min(1.0, max(abs(a - b) for a, b in zip(face.color, below, strict=True)) / 255 / _CLEAR)

    def _outer_normals(self, middles: Array, part_middles: Array) -> Array:
        normals = np.zeros((len(self.faces), 3))
        for number, face in enumerate(self.faces):
            if face.owner != number:
                normals[number] = normals[face.owner]
                continue
            a, b, c = self.vertices[list(face.corners[:3])]
            normal = np.cross(b - a, c - a)
            if normal @ (middles[number] - part_middles[face.part]) < 0:
                normal = -normal
            normals[number] = normal / (np.linalg.norm(normal) + 1e-12)
        return normals


class Billboard:
    """An upright flat picture that always faces the camera: right for round things, fair for people and trees."""

    def __init__(self, texture: Texture, width_m: float, height_m: float, retro: float = 0.0) -> None:
        self.texture = texture
        self.retro = retro
        self.low = np.array([-width_m / 2, 0.0, -width_m / 4])
        self.high = np.array([width_m / 2, height_m, width_m / 4])


Shape = Mesh | Billboard
