"""One look for all figures: Okabe and Ito's colours, light grid, no box."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

from streetvision_core.types import Pixels

BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
RED: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"
GREY: Final = "#767676"
CYCLE: Final = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)

_RC: Final[dict[str, Any]] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "font.size": 10,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
}


@contextmanager
def axes(rows: int = 1, columns: int = 1, width: float = 7.0, height: float = 3.6) -> Iterator[tuple[Any, Any]]:
    """A styled figure and its axes, size in inches."""
    import matplotlib.pyplot as plt

    with plt.rc_context(cast("Any", _RC)):
        yield plt.subplots(rows, columns, figsize=(width, height), squeeze=rows * columns == 1)


def sheet(
    images: Sequence[Pixels], captions: Sequence[str], columns: int, title: str, colours: Sequence[str] = ()
) -> Any:
    """Pictures in a grid, a caption under the title of each."""
    import matplotlib.pyplot as plt

    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    with plt.rc_context({"font.size": 8}):
        figure, grid = plt.subplots(rows, columns, figsize=(2.6 * columns, 1.9 * rows + 0.4), squeeze=False)
        for axis in grid.flat:
            axis.axis("off")
        for i, (axis, image) in enumerate(zip(grid.flat, images, strict=False)):
            axis.imshow(image)
            axis.set_title(captions[i], fontsize=7.5, color=colours[i] if colours else "black")
        figure.suptitle(title, fontsize=10)
        figure.tight_layout()
    return figure
