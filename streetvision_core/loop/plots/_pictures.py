"""Figures that show frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from streetvision_core.loop.plots._style import BLUE, CYCLE, GREY, RED, axes, sheet
from streetvision_core.types import ERAS, Box, Frame, Pixels

if TYPE_CHECKING:
    from streetvision_core.learning.mine import Mined
    from streetvision_core.learning.photos import Photo
    from streetvision_core.learning.synthesize import Synthetic
    from streetvision_core.mining.querylog import QueryRow

_SHOWN_SCORE = 0.3


def boxes(frame: Frame, boxes_by_source: Mapping[str, Sequence[Box]], min_score: float = _SHOWN_SCORE) -> Any:
    """One frame per source of boxes; weak boxes are left out."""
    with axes(1, len(boxes_by_source), 5.2 * len(boxes_by_source), 3.3) as (figure, grid):
        for axis, (source, found), colour in zip(np.ravel(grid), boxes_by_source.items(), CYCLE, strict=False):
            axis.imshow(frame.pixels)
            axis.axis("off")
            shown = [box for box in found if box.score >= min_score]
            axis.set_title(f"{source}: {len(shown)} boxes")
            for box in shown:
                _draw(axis, box, colour)
    return figure


def picture(pixels: Pixels, title: str) -> Any:
    """One wide picture."""
    with axes(1, 1, 12, 12 * pixels.shape[0] / pixels.shape[1] + 0.4) as (figure, grid):
        axis = np.ravel(grid)[0]
        axis.imshow(pixels)
        axis.axis("off")
        axis.set_title(title)
    return figure


def strip(images: Sequence[Pixels], captions: Sequence[str], title: str, columns: int = 6) -> Any:
    """Frames in order."""
    return sheet(images, captions, columns, title)


def eras(pixels: Pixels, augment: Callable[..., Pixels], seed: int) -> Any:
    """One frame in every era and level."""
    images, captions = [], []
    for era in ERAS:
        for level in range(1 if era == "native" else 4):
            images.append(augment(pixels, era, level, np.random.default_rng(seed + level)))
            captions.append(f"{era}, level {level}" if era != "native" else "native (as it is)")
    return sheet(images, captions, 4, "what a validator would have sent")


def gallery(rows: Sequence[QueryRow], frames: Sequence[Frame]) -> Any:
    """Queries with the answer.

    Args:
        rows: the queries.
        frames: their images, same order.
    """
    captions = [f"p = {row.verdict.p_roadwork:.2f}, {row.verdict.exit_stage}" for row in rows]
    colours = [RED if row.wrong else "black" for row in rows]
    return sheet([frame.pixels for frame in frames], captions, 6, "queries of the night (red: wrong)", colours)


def mined(found: Mined, frames: Sequence[Frame], count: int = 18) -> Any:
    """The hardest mined frames with the reason for each.

    Args:
        found: what was chosen.
        frames: their images, same order.
        count: how many are shown.
    """
    order = np.argsort([-item.hardness for item in found.chosen.items], kind="stable")[:count]
    captions = [f"p = {found.rows[i].verdict.p_roadwork:.2f}: {found.chosen.items[i].reasons[0]}" for i in order]
    colours = [RED if found.wrong[i] else "black" for i in order]
    title = "the hardest frames of the night (red: the answer was wrong)"
    return sheet([frames[i].pixels for i in order], captions, 6, title, colours)


def photos(found: Sequence[Photo]) -> Any:
    """Real photographs with the answer."""
    captions = [f"p = {photo.verdict.p_roadwork:.2f} ({photo.verdict.exit_stage})\n{photo.source}" for photo in found]
    colours = [GREY if photo.right is None else BLUE if photo.right else RED for photo in found]
    images = [photo.pixels for photo in found]
    return sheet(
        images, captions, 6, "real photographs (blue: right, red: wrong, grey: nobody has labelled it)", colours
    )


def synthetic(rendered: Synthetic, count: int = 12) -> Any:
    """Some of the frames rendered to order; twins stand side by side."""
    chosen = range(min(count, len(rendered.made)))
    captions = [
        f"{rendered.made[i].mode or 'ordinary'}, {rendered.made[i].era}: "
        f"{'road work' if rendered.made[i].label else 'none'}"
        for i in chosen
    ]
    return sheet([rendered.frames[i].pixels for i in chosen], captions, 6, "rendered to order, in pairs (synthetic)")


def _draw(axis: Any, box: Box, colour: str) -> None:
    from matplotlib.patches import Rectangle

    corner, width, height = (box.x0, box.y0), box.x1 - box.x0, box.y1 - box.y0
    axis.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=1.4))
    label = f"{box.label} {box.score:.2f}" if box.score < 1 else box.label
    axis.text(box.x0, box.y0 - 2, label, fontsize=6, color="white", backgroundcolor=colour)
