"""Pictures for the notebook: what the detectors learn from, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from streetvision_core.models.detectors import Detector
from streetvision_core.training.detectors._augment import crop_view
from streetvision_core.training.detectors._mixture import Source
from streetvision_core.training.detectors._samples import IGNORE
from streetvision_core.types import DEVICE_CLASSES, Frame

_COLOURS: Final = dict(
    zip(
        (*DEVICE_CLASSES, "ignore"),
        ("#d55e00", "#e69f00", "#56b4e9", "#cc79a7", "#009e73", "#0072b2", "#999999"),
        strict=True,
    )
)
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""


def crops(sources: Mapping[str, Source], width: int, height: int, rows: int = 2) -> Any:
    """A row of training crops per number, a column per source; returns the figure."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, len(sources), figsize=(3 * len(sources), 2.2 * rows), squeeze=False)
    for column, (name, source) in enumerate(sources.items()):
        for row in range(rows):
            view = crop_view(source(row), width, height, np.random.default_rng([row, 7]))
            names = ["ignore" if label == IGNORE else DEVICE_CLASSES[label] for label in view.labels]
            _show(axes[row][column], view.pixels, view.corners, names, name if row == 0 else "")
    figure.tight_layout()
    return figure


def answers(detectors: Sequence[Detector], frames: Sequence[Frame], score: float = 0.3) -> Any:
    """A row per frame, a column per detector, boxes from `score` on; returns the figure."""
    import matplotlib.pyplot as plt

    size = (5 * len(detectors), 3 * len(frames))
    figure, axes = plt.subplots(len(frames), len(detectors), figsize=size, squeeze=False)
    for column, detector in enumerate(detectors):
        for row, boxes in enumerate(detector.detect(frames)):
            kept = [b for b in boxes if b.score >= score]
            corners = np.array([(b.x0, b.y0, b.x1, b.y1) for b in kept]).reshape(-1, 4)
            labels = [f"{b.label} {b.score:.2f}" for b in kept]
            _show(axes[row][column], frames[row].pixels, corners, labels, detector.name if row == 0 else "")
    figure.tight_layout()
    return figure


def _show(axis: Any, pixels: Any, corners: Any, labels: Sequence[str], title: str) -> None:
    from matplotlib.patches import Rectangle

    axis.imshow(pixels)
    axis.set_title(title)
    axis.set_xticks([])
    axis.set_yticks([])
    for (x0, y0, x1, y1), label in zip(corners, labels, strict=True):
        colour = _COLOURS[label.split()[0]]
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.2))
        axis.text(x0, y0 - 2, label, color=colour, fontsize=6)
