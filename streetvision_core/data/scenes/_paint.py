"""Paints the things of a scene: what can be reckoned for all of them at once is, only the brush goes one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data.scenes._camera import NEAR, Array, Camera
from streetvision_core.data.scenes._canvas import Canvas, fixed
from streetvision_core.data.scenes._light import Light
from streetvision_core.data.scenes._mesh import (
    COLOR,
    CORNERS,
    DETAIL,
    EMIT,
    MIDDLE,
    NARROW,
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
_FAINT: Final = 1.5
"""Canvas pixels a detail on scenery is wide at least, and more the less it stands out."""


class Painter:
    """Paints shapes that stand at given places, one by one in any order."""

    def __init__(
        self,
        shapes: Sequence[Shape],
        positions: Array,
        headings: Array,
        camera: Camera,
        light: Light,
        devices: npt.NDArray[np.bool_],
    ) -> None:
        """Reckons everything but the pixels.

        Args:
            shapes: N shapes.
            positions: where they stand [N, 3], metres in world axes.
            headings: radians each is turned right [N]; without effect on billboards.
            camera: the camera.
            light: the light.
            devices: which of them are labelled [N]; of all others faint details are left out.
        """
        solid = [number for number, shape in enumerate(shapes) if isinstance(shape, Mesh)]
        flat = [number for number, shape in enumerate(shapes) if isinstance(shape, Billboard)]
        meshes = [shape for shape in shapes if isinstance(shape, Mesh)]
        boards = [shape for shape in shapes if isinstance(shape, Billboard)]
        solids = _Solids(meshes, positions[solid], headings[solid], camera, light, devices[solid]) if meshes else None
        sprites = _Boards(boards, positions[flat], camera, light) if boards else None
        self._parts: dict[int, tuple[_Solids | _Boards, int]] = {}
        for part, numbers in ((solids, solid), (sprites, flat)):
            if part is not None:
                self._parts |= {number: (part, place) for place, number in enumerate(numbers)}

    def box(self, number: int) -> Sequence[float]:
        """The canvas pixels x0, y0, x1, y1 that shape `number` keeps within."""
        part, place = self._parts[number]
        return part.boxes[place]

    def paint(self, canvas: Canvas, number: int, ident: int, exact: bool) -> None:
        """Paints shape `number`; its pixels get `ident`, `exact` ones where that decides what is seen of a device."""
        part, place = self._parts[number]
        part.paint(canvas, place, ident, exact)


class _Boards:
    """Billboards in view."""

    def __init__(self, boards: list[Billboard], positions: Array, camera: Camera, light: Light) -> None:
        self._textures = [board.texture for board in boards]
        feet = camera.to_camera(positions)
        self._before = (feet[:, 2] >= NEAR).tolist()
        feet[:, 2] = np.maximum(feet[:, 2], NEAR)
        u, v = camera.to_pixels(feet).T
        half, height = (np.array([board.high[:2] for board in boards]) * (camera.focal / feet[:, 2:])).T
        self.boxes: list[list[float]] = np.stack([u - half, v - height, u + half, v], axis=1).tolist()
        self._paints = light.paints(positions, camera.position, np.array([board.retro for board in boards]))

    def paint(self, canvas: Canvas, place: int, ident: int, exact: bool) -> None:
        if self._before[place]:
            canvas.sprite(self._textures[place], self.boxes[place], self._paints[place], ident, exact)


class _Solids:
    """Meshes in view: their visible faces in painting order, with colours and pixels."""

    def __init__(
        self,
        meshes: list[Mesh],
        positions: Array,
        headings: Array,
        camera: Camera,
        light: Light,
        devices: npt.NDArray[np.bool_],
    ) -> None:
        self._meshes, self._camera, self._light = meshes, camera, light
        self._positions = positions
        turns = np.cos(headings), np.sin(headings)
        self._project(turns)
        self._choose(turns, np.where(devices, 0.0, _FAINT))

    def _project(self, turns: tuple[Array, Array]) -> None:
        counts = np.array([len(mesh.vertices) for mesh in self._meshes])
        owner = np.repeat(np.arange(len(counts)), counts)
        points = _turned(np.concatenate([mesh.vertices for mesh in self._meshes]), turns[0][owner], turns[1][owner])
        seen = self._camera.to_camera(points + self._positions[owner])
        self._starts = np.cumsum(counts) - counts
        depth = seen[:, 2].copy()
        self._seen = seen
        self._whole = np.minimum.reduceat(depth, self._starts) >= NEAR
        self._before = np.maximum.reduceat(depth, self._starts) >= NEAR
        cut = seen.copy()
        cut[:, 2] = np.maximum(depth, NEAR)
        self._pixels = self._camera.to_pixels(cut)
        self._points = fixed(self._pixels)
        low, high = (reach.reduceat(self._pixels, self._starts) for reach in (np.minimum, np.maximum))
        everywhere = (0.0, 0.0, float(self._camera.width), float(self._camera.height))
        self.boxes: list[list[float]] = np.where(self._whole[:, None], np.hstack([low, high]), everywhere).tolist()

    def _choose(self, turns: tuple[Array, Array], narrowest: Array) -> None:
        camera, light = self._camera, self._light
        cos, sin = turns
        counts = np.array([len(mesh.faces) for mesh in self._meshes])
        owner = np.repeat(np.arange(len(counts)), counts)
        table = np.concatenate([mesh.table for mesh in self._meshes])
        away = camera.position - self._positions
        eyes = _turned(away, cos, -sin)
        meters = np.sqrt((away * away).sum(axis=1))
        small = (meters / camera.focal)[owner]
        shown = self._before[owner] & (table[:, DETAIL] > _SPECK * small)
        shown &= table[:, NARROW] > narrowest[owner] * small
        kept = np.flatnonzero(shown)
        away = eyes[owner[kept]] - table[kept, MIDDLE]
        kept = kept[(away * table[kept, NORMAL]).sum(axis=1) > 0]
        far = ((table[kept, PART] - eyes[owner[kept]]) ** 2).sum(axis=1)
        kept = kept[np.lexsort((-far, owner[kept]))]
        table, owner = table[kept], owner[kept]
        rings = np.concatenate([mesh.rings for mesh in self._meshes])[kept] + self._starts[owner][:, None]
        normals = _turned(table[:, NORMAL], cos[owner], sin[owner])
        tints = light.shade(normals, self._positions[owner], camera.position)
        self._tints = np.maximum(tints, table[:, EMIT, None])
        clear = np.exp(-light.density * meters)[owner][:, None]
        colors = np.minimum(table[:, COLOR] * self._tints * clear + light.haze * (1 - clear), 255.0)
        self._meters = meters
        self._colors = colors.tolist()
        self._corners = list(self._points[rings])
        first = np.cumsum(counts) - counts
        self._numbers = (kept - first[owner]).tolist()
        plain = (table[:, PLAIN] > 0) & ~((table[:, RETRO] > 0) & light.night) & self._whole[owner]
        self._join_rings(np.flatnonzero(plain & (table[:, CORNERS] > 4)).tolist(), owner)
        self._plain = plain.tolist()
        self._bounds = np.searchsorted(owner, np.arange(len(counts) + 1)).tolist()

    def _join_rings(self, entries: list[int], owner: npt.NDArray[np.intp]) -> None:
        """The corners of faces that have more than four."""
        if not entries:
            return
        owners = owner[entries]
        rings = [
            self._meshes[place].corners[self._numbers[entry]]
            for place, entry in zip(owners.tolist(), entries, strict=True)
        ]
        lengths = [len(ring) for ring in rings]
        points = self._points[np.concatenate(rings) + np.repeat(self._starts[owners], lengths)]
        first = 0
        for entry, length in zip(entries, lengths, strict=True):
            self._corners[entry] = points[first : first + length]
            first += length

    def paint(self, canvas: Canvas, place: int, ident: int, exact: bool) -> None:
        for entry in range(self._bounds[place], self._bounds[place + 1]):
            if self._plain[entry]:
                canvas.convex(self._corners[entry], self._colors[entry], ident)
            else:
                self._paint_face(canvas, place, entry, ident, exact)

    def _paint_face(self, canvas: Canvas, place: int, entry: int, ident: int, exact: bool) -> None:
        """Faces that are cut by the near plane, textured or throw the headlights back."""
        mesh, number = self._meshes[place], self._numbers[entry]
        face, ring = mesh.faces[number], mesh.corners[number] + self._starts[place]
        retro = face.retro > 0 and self._light.night
        corners = self._pixels[ring] if self._whole[place] else self._camera.cut_and_project(self._seen[ring])
        if face.texture is None and not retro:
            canvas.polygon(corners, self._colors[entry], ident)
            return
        tint = self._headlit(face, place) if retro else self._tints[entry]
        paint = self._light.as_paint(tint, float(self._meters[place]))
        if face.texture is None:
            canvas.polygon(corners, paint.color(face.color), ident)
        elif len(corners) == 4:
            canvas.quad(face.texture, corners, paint, ident, exact)

    def _headlit(self, face: Face, place: int) -> Array:
        towards_us = np.array([[0.0, 0.0, -1.0]])
        return np.asarray(self._light.shade(towards_us, self._positions[place], self._camera.position, face.retro)[0])


def _turned(points: Array, cos: Array, sin: Array) -> Array:
    """Points [N, 3] of object axes in world axes, each turned right by its own angle [N]."""
    x, y, z = points.T
    return np.stack([x * cos + z * sin, y, z * cos - x * sin], axis=1)
