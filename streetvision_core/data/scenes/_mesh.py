"""Solid things: convex parts with flat or textured faces, shaded by the sun and painted back to front.

Object axes: x right, y up, z along the object's heading, metres, origin on the ground below the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from streetvision_core.data.scenes._camera import NEAR, Array, Camera
from streetvision_core.data.scenes._canvas import Canvas, Paint, Texture, fixed
from streetvision_core.data.scenes._light import Light

Color = tuple[float, float, float]

_SPECK: Final = 2.0
"""Canvas pixels below which a detail on a face is left out."""
Rect = tuple[float, float, float, float]


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
    """A solid thing that can paint itself."""

    def __init__(self, vertices: Array, faces: tuple[Face, ...], parts: int) -> None:
        self.vertices = vertices
        self.faces = faces
        self.low, self.high = vertices.min(axis=0), vertices.max(axis=0)
        owners = np.array([face.part for face in faces])
        middles = np.array([vertices[list(face.corners)].mean(axis=0) for face in faces])
        self._part_of = owners
        self._part_middles = np.array([middles[owners == part].mean(axis=0) for part in range(parts)])
        self._middles = middles
        self._normals = self._outer_normals()
        self._colors = np.array([face.color for face in faces], float)
        self._emit = np.array([face.emit for face in faces])[:, None]
        self._detail = np.array(
            [np.ptp(vertices[list(f.corners)], axis=0).max() if f.owner != n else np.inf for n, f in enumerate(faces)]
        )
        self._corners = [np.array(face.corners) for face in faces]

    def _outer_normals(self) -> Array:
        normals = np.zeros((len(self.faces), 3))
        for number, face in enumerate(self.faces):
            if face.owner != number:
                normals[number] = normals[face.owner]
                continue
            a, b, c = self.vertices[list(face.corners[:3])]
            normal = np.cross(b - a, c - a)
            if normal @ (self._middles[number] - self._part_middles[face.part]) < 0:
                normal = -normal
            normals[number] = normal / (np.linalg.norm(normal) + 1e-12)
        return normals

    def paint(self, canvas: Canvas, camera: Camera, light: Light, position: Array, heading: float, ident: int) -> None:
        """Paints the mesh standing at `position`, turned right by `heading` radians."""
        cos, sin = np.cos(heading), np.sin(heading)
        turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
        seen = camera.to_camera(self.vertices @ turn + position)
        if seen[:, 2].max() < NEAR:
            return
        eye = (camera.position - position) @ turn.T
        meters = float(np.linalg.norm(eye))
        visible = ((eye - self._middles) * self._normals).sum(axis=1) > 0
        visible &= self._detail * camera.focal > _SPECK * meters
        numbers = np.flatnonzero(visible)
        away = ((self._part_middles - eye) ** 2).sum(axis=1)[self._part_of[numbers]]
        order = numbers[np.lexsort((numbers, -away))]
        shade = light.shade(self._normals @ turn, position, camera.position)
        tint = np.maximum(shade, self._emit)
        clear = light.clear(meters)
        colors = np.minimum(self._colors * tint * clear + light.haze * (1 - clear), 255.0)
        pixels = camera.to_pixels(seen) if seen[:, 2].min() >= NEAR else None
        points = None if pixels is None else fixed(pixels)
        for number in order:
            ring, face = self._corners[number], self.faces[number]
            plain = face.texture is None and not (face.retro and light.night)
            if plain and points is not None:
                canvas.convex(points[ring], colors[number], ident)
                continue
            corners = camera.cut_and_project(seen[ring]) if pixels is None else pixels[ring]
            if plain:
                canvas.polygon(corners, colors[number], ident)
                continue
            glow = self._tint(face, tint[number], light, position, camera.position)
            _paint_face(canvas, face, corners, light.as_paint(glow, meters), ident)

    def _tint(self, face: Face, tint: Array, light: Light, position: Array, eye: Array) -> Array:
        if face.retro and light.night:
            return np.asarray(light.shade(np.array([[0.0, 0.0, -1.0]]), position, eye, face.retro)[0])
        return tint


def _paint_face(canvas: Canvas, face: Face, corners: Array, paint: Paint, ident: int) -> None:
    if face.texture is None:
        canvas.polygon(corners, paint.color(face.color), ident)
    elif len(corners) == 4:
        canvas.quad(face.texture, corners, paint, ident)


class Billboard:
    """An upright flat picture that always faces the camera: right for round things, fair for people and trees."""

    def __init__(self, texture: Texture, width_m: float, height_m: float, retro: float = 0.0) -> None:
        self.texture = texture
        self.retro = retro
        self.low = np.array([-width_m / 2, 0.0, -width_m / 4])
        self.high = np.array([width_m / 2, height_m, width_m / 4])

    def paint(self, canvas: Canvas, camera: Camera, light: Light, position: Array, heading: float, ident: int) -> None:
        """Paints the picture standing at `position`; `heading` is without effect."""
        foot = camera.to_camera(position[None])[0]
        if foot[2] < NEAR:
            return
        u, v = camera.to_pixels(foot[None])[0]
        scale = camera.focal / foot[2]
        half, height = self.high[0] * scale, self.high[1] * scale
        paint = light.paint(position, camera.position, self.retro)
        canvas.sprite(self.texture, (u - half, v - height, u + half, v), paint, ident)


Shape = Mesh | Billboard
