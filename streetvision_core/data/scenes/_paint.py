"""Paints the things of a scene: what can be reckoned for all of them at once is, only the brush goes one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from streetvision_core.data.scenes._camera import NEAR, Array, Camera
from streetvision_core.data.scenes._canvas import Canvas, fixed
from streetvision_core.data.scenes._light import Light
from streetvision_core.data.scenes._mesh import (
    COLOR,
    DETAIL,
    EMIT,
    MIDDLE,
    NORMAL,
    PART,
    PLAIN,
    RETRO,
    Billboard,
    Face,
    Mesh,
    Shape,
)

_SPECK: Final = 2.0
"""Canvas pixels below which a detail on a face is left out."""


class Painter:
    """Paints shapes that stand at given places, one by one in any order."""

    def __init__(
        self, shapes: Sequence[Shape], positions: Array, headings: Array, camera: Camera, light: Light
    ) -> None:
        """Reckons everything but the pixels.

        Args:
            shapes: N shapes.
            positions: where they stand [N, 3], metres in world axes.
            headings: radians each is turned right [N]; without effect on billboards.
            camera: the camera.
            light: the light.
        """
        solid = [number for number, shape in enumerate(shapes) if isinstance(shape, Mesh)]
        flat = [number for number, shape in enumerate(shapes) if isinstance(shape, Billboard)]
        self._place = {number: place for part in (solid, flat) for place, number in enumerate(part)}
        meshes = [shape for shape in shapes if isinstance(shape, Mesh)]
        boards = [shape for shape in shapes if isinstance(shape, Billboard)]
        self._solids = _Solids(meshes, positions[solid], headings[solid], camera, light) if meshes else None
        self._boards = _Boards(boards, positions[flat], camera, light) if boards else None
        self._is_solid = set(solid)

    def paint(self, canvas: Canvas, number: int, ident: int) -> None:
        """Paints shape `number`; its pixels get `ident`."""
        painter = self._solids if number in self._is_solid else self._boards
        if painter is not None:
            painter.paint(canvas, self._place[number], ident)


class _Boards:
    """Billboards in view."""

    def __init__(self, boards: list[Billboard], positions: Array, camera: Camera, light: Light) -> None:
        self._textures = [board.texture for board in boards]
        feet = camera.to_camera(positions)
        self._before = (feet[:, 2] >= NEAR).tolist()
        feet[:, 2] = np.maximum(feet[:, 2], NEAR)
        u, v = camera.to_pixels(feet).T
        half, height = (np.array([board.high[:2] for board in boards]) * (camera.focal / feet[:, 2:])).T
        self._boxes = np.stack([u - half, v - height, u + half, v], axis=1).tolist()
        self._paints = light.paints(positions, camera.position, np.array([board.retro for board in boards]))

    def paint(self, canvas: Canvas, place: int, ident: int) -> None:
        if self._before[place]:
            canvas.sprite(self._textures[place], self._boxes[place], self._paints[place], ident)


class _Solids:
    """Meshes in view: their visible faces in painting order, with colours and pixels."""

    def __init__(self, meshes: list[Mesh], positions: Array, headings: Array, camera: Camera, light: Light) -> None:
        self._meshes, self._camera, self._light = meshes, camera, light
        self._positions = positions
        turns = np.cos(headings), np.sin(headings)
        self._project(turns)
        self._choose(turns)

    def _project(self, turns: tuple[Array, Array]) -> None:
        counts = np.array([len(mesh.vertices) for mesh in self._meshes])
        owner = np.repeat(np.arange(len(counts)), counts)
        points = _turned(np.concatenate([mesh.vertices for mesh in self._meshes]), turns[0][owner], turns[1][owner])
        seen = self._camera.to_camera(points + self._positions[owner])
        self._starts = np.cumsum(counts) - counts
        depth = seen[:, 2].copy()
        self._seen = seen
        self._whole = (np.minimum.reduceat(depth, self._starts) >= NEAR).tolist()
        self._before = np.maximum.reduceat(depth, self._starts) >= NEAR
        cut = seen.copy()
        cut[:, 2] = np.maximum(depth, NEAR)
        self._pixels = self._camera.to_pixels(cut)
        self._points = fixed(self._pixels)

    def _choose(self, turns: tuple[Array, Array]) -> None:
        camera, light = self._camera, self._light
        cos, sin = turns
        counts = np.array([len(mesh.faces) for mesh in self._meshes])
        owner = np.repeat(np.arange(len(counts)), counts)
        table = np.concatenate([mesh.table for mesh in self._meshes])
        away = camera.position - self._positions
        eyes = _turned(away, cos, -sin)
        meters = np.sqrt((away * away).sum(axis=1))
        shown = ((eyes[owner] - table[:, MIDDLE]) * table[:, NORMAL]).sum(axis=1) > 0
        shown &= self._before[owner] & (table[:, DETAIL] * camera.focal > _SPECK * meters[owner])
        kept = np.flatnonzero(shown)
        far = ((table[kept, PART] - eyes[owner[kept]]) ** 2).sum(axis=1)
        kept = kept[np.lexsort((-far, owner[kept]))]
        table, owner = table[kept], owner[kept]
        rings = np.concatenate([mesh.rings for mesh in self._meshes])[kept] + self._starts[owner][:, None]
        normals = _turned(table[:, NORMAL], cos[owner], sin[owner])
        tints = light.shade(normals, self._positions[owner], camera.position)
        self._tints = np.maximum(tints, table[:, EMIT, None])
        clear = np.exp(-light.density * meters)[owner][:, None]
        colors = np.minimum(table[:, COLOR] * self._tints * clear + light.haze * (1 - clear), 255.0)
        self._meters = meters.tolist()
        self._colors = colors.tolist()
        self._corners = list(self._points[rings])
        self._plain = ((table[:, PLAIN] > 0) & ~((table[:, RETRO] > 0) & light.night)).tolist()
        first = np.cumsum(counts) - counts
        self._numbers = (kept - first[owner]).tolist()
        self._bounds = np.searchsorted(owner, np.arange(len(counts) + 1)).tolist()

    def paint(self, canvas: Canvas, place: int, ident: int) -> None:
        whole = self._whole[place]
        for entry in range(self._bounds[place], self._bounds[place + 1]):
            if whole and self._plain[entry]:
                canvas.convex(self._corners[entry], self._colors[entry], ident)
            else:
                self._paint_face(canvas, place, entry, ident)

    def _paint_face(self, canvas: Canvas, place: int, entry: int, ident: int) -> None:
        """Faces that are cut by the near plane, textured, thrown back at the headlights or of many corners."""
        face = self._meshes[place].faces[self._numbers[entry]]
        ring = self._starts[place] + np.array(face.corners)
        plain = face.texture is None and not (face.retro and self._light.night)
        if plain and self._whole[place]:
            canvas.convex(self._points[ring], self._colors[entry], ident)
            return
        corners = self._pixels[ring] if self._whole[place] else self._camera.cut_and_project(self._seen[ring])
        if plain:
            canvas.polygon(corners, self._colors[entry], ident)
            return
        paint = self._light.as_paint(self._tint(face, entry, self._positions[place]), self._meters[place])
        if face.texture is None:
            canvas.polygon(corners, paint.color(face.color), ident)
        elif len(corners) == 4:
            canvas.quad(face.texture, corners, paint, ident)

    def _tint(self, face: Face, entry: int, position: Array) -> Array:
        if face.retro and self._light.night:
            towards_us = np.array([[0.0, 0.0, -1.0]])
            return np.asarray(self._light.shade(towards_us, position, self._camera.position, face.retro)[0])
        return np.asarray(self._tints[entry])


def _turned(points: Array, cos: Array, sin: Array) -> Array:
    """Points [N, 3] of object axes in world axes, each turned right by its own angle [N]."""
    x, y, z = points.T
    return np.stack([x * cos + z * sin, y, z * cos - x * sin], axis=1)
