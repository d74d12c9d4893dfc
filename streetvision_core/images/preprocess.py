"""Named, versioned preprocessing: what turns a frame into the views a backbone sees.

The name is stored with every feature, head and model. A change of what a name computes is a new version (`/2`), never
an edit. Features need no bit-equality with a framework's resize, so these use OpenCV (area down, linear up).

Example:
    >>> import numpy as np
    >>> get_preprocessor("global-tiles-260/1").views(np.zeros((406, 722, 3), np.uint8)).shape
    (7, 260, 260, 3)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streetvision_core.errors import ImageBrokenError, SettingsError
from streetvision_core.types import Pixels

Views = npt.NDArray[np.uint8]
"""uint8 [V, S, S, 3], RGB; the first view shows the whole image. `native/1`: [1, H, W, 3]."""

TILE_PIXELS: Final = 260
MAX_TILES: Final = 12
LARGEST_UNTILED_PIXELS: Final = 300
"""A side up to this long counts as one tile: a slightly smaller image beats twice the tiles."""


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """One versioned way to make views.

    Attributes:
        name: e.g. `letterbox-224/1`.
        view_size: side of the square views in pixels; 0 where views keep the image's size.
        make: the function behind `views`.
    """

    name: str
    view_size: int
    make: Callable[[Pixels], Views]

    def views(self, pixels: Pixels) -> Views:
        """Makes the views of one image.

        Args:
            pixels: uint8 [H, W, 3].

        Raises:
            ImageBrokenError: the image has no pixels.
        """
        if 0 in pixels.shape:
            raise ImageBrokenError(f"pixels of shape {pixels.shape}", "at least 1x1 pixels", "drop the empty image")
        return self.make(pixels)


def get_preprocessor(name: str) -> Preprocessor:
    """Looks a preprocessing up by its versioned name.

    Raises:
        SettingsError: no such name.
    """
    try:
        return _REGISTRY[name]
    except KeyError:
        raise SettingsError(
            got=f"preprocessing {name!r}",
            allowed=", ".join(preprocessor_names()),
            action="set models.preprocessing to one of them, or update the package if a model asks for a newer one",
            preprocessing=name,
        ) from None


def preprocessor_names() -> list[str]:
    """All names, sorted."""
    return sorted(_REGISTRY)


def register_preprocessor(preprocessor: Preprocessor) -> Preprocessor:
    """Adds a preprocessing; a name, once given, is never given again.

    Raises:
        SettingsError: the name is taken.
    """
    if preprocessor.name in _REGISTRY:
        raise SettingsError(
            got=f"a second preprocessing named {preprocessor.name!r}",
            allowed="one meaning per name",
            action="raise the version behind the slash",
        )
    _REGISTRY[preprocessor.name] = preprocessor
    return preprocessor


def resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resizes with OpenCV: area when both sides shrink or stay, else linear."""
    if (height, width) == pixels.shape[:2]:
        return pixels
    shrinks = height <= pixels.shape[0] and width <= pixels.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=method), np.uint8)


def letterbox(pixels: Pixels, side: int) -> Pixels:
    """The whole image, centred in a black square of `side` pixels."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    return _pad(resize(pixels, max(1, round(height * scale)), max(1, round(width * scale))), side, side)


def centre_crop(pixels: Pixels, side: int) -> Pixels:
    """The largest centred square, resized to `side` pixels."""
    height, width = pixels.shape[:2]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    return resize(pixels[top : top + square, left : left + square], side, side)


def tile_grid(height: int, width: int) -> tuple[int, int, float]:
    """Rows and columns of the tiles that cover an image, and the scale (at most 1) that makes it fit.

    The largest scale with at most `MAX_TILES` tiles is best; the fewest tiles within the slack of
    `LARGEST_UNTILED_PIXELS` are taken.
    """
    grids = [
        (rows, columns, min(1.0, rows * TILE_PIXELS / height, columns * TILE_PIXELS / width))
        for rows in range(1, MAX_TILES + 1)
        for columns in range(1, MAX_TILES // rows + 1)
    ]
    enough = max(scale for _, _, scale in grids) * TILE_PIXELS / LARGEST_UNTILED_PIXELS
    return min((grid for grid in grids if grid[2] >= enough), key=lambda grid: (grid[0] * grid[1], -grid[2]))


def global_and_tiles(pixels: Pixels) -> Views:
    """The letterboxed image, then evenly spread tiles at native size, row by row.

    An image of at most `LARGEST_UNTILED_PIXELS` on both sides has no tiles.
    """
    height, width = pixels.shape[:2]
    views = [letterbox(pixels, TILE_PIXELS)]
    if max(height, width) > LARGEST_UNTILED_PIXELS:
        rows, columns, scale = tile_grid(height, width)
        scaled = resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
        canvas = _pad(scaled, max(TILE_PIXELS, scaled.shape[0]), max(TILE_PIXELS, scaled.shape[1]))
        views += [
            canvas[top : top + TILE_PIXELS, left : left + TILE_PIXELS]
            for top in _starts(canvas.shape[0], rows)
            for left in _starts(canvas.shape[1], columns)
        ]
    return np.stack(views)


def global_and_grid(pixels: Pixels) -> Views:
    """The letterboxed image, then six overlapping squares (3 x 2, or 2 x 3 where it is tall), enlarged or shrunk.

    Every image has the same number of views, whatever its size: a maximum over more tiles is larger by itself, so with
    a varying number a classifier learns the camera instead of the street.
    """
    height, width = pixels.shape[:2]
    rows, columns = (2, 3) if width >= height else (3, 2)
    side = max(-(-height // rows), -(-width // columns))
    tall, wide = min(side, height), min(side, width)
    squares = [
        resize(pixels[top : top + tall, left : left + wide], TILE_PIXELS, TILE_PIXELS)
        for top in _starts(height, rows, tall)
        for left in _starts(width, columns, wide)
    ]
    return np.stack([letterbox(pixels, TILE_PIXELS), *squares])


def _starts(length: int, count: int, part: int = TILE_PIXELS) -> list[int]:
    return [round(i * (length - part) / max(1, count - 1)) for i in range(count)]


def _pad(pixels: Pixels, height: int, width: int) -> Pixels:
    top, left = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
    padded = np.zeros((height, width, 3), np.uint8)
    padded[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return padded


def _for_patches(sides: Iterable[int]) -> Iterator[Preprocessor]:
    """For transformers with patches of 16 pixels: the whole image, and the same with its mirror image.

    Two views are test-time augmentation: their features are averaged. Mirrored text reads nothing, and no classifier
    of road work needs it.
    """
    for side in sides:
        if side != 224:  # older than the others, and the same
            yield Preprocessor(f"letterbox-{side}/1", side, partial(_letterboxes, side=side, mirror=False))
        yield Preprocessor(f"letterbox-flip-{side}/1", side, partial(_letterboxes, side=side, mirror=True))


def _letterboxes(pixels: Pixels, side: int, mirror: bool) -> Views:
    view = letterbox(pixels, side)
    return np.stack([view, view[:, ::-1]]) if mirror else view[None]


_REGISTRY: Final[dict[str, Preprocessor]] = {
    preprocessor.name: preprocessor
    for preprocessor in (
        Preprocessor("center-crop-224/1", 224, lambda pixels: centre_crop(pixels, 224)[None]),
        Preprocessor("letterbox-224/1", 224, lambda pixels: letterbox(pixels, 224)[None]),
        Preprocessor("letterbox-260/1", 260, lambda pixels: letterbox(pixels, 260)[None]),
        Preprocessor("global-tiles-260/1", TILE_PIXELS, global_and_tiles),
        Preprocessor("global-grid-260/1", TILE_PIXELS, global_and_grid),
        Preprocessor("native/1", 0, lambda pixels: pixels[None]),
        *_for_patches(range(224, 513, 16)),
    )
}
