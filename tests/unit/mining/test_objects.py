from pathlib import Path

import numpy as np
import pytest

from streetvision_core.errors import DataError
from streetvision_core.mining.objects import FoundObject, best_score, load_objects, look, save_objects, within
from streetvision_core.models.concepts import Region
from streetvision_core.types import Box, Frame

FRAME = Frame.from_pixels(np.zeros((40, 60, 3), np.uint8), "black")
CONE = Box(10, 10, 20, 30, "cone", 0.9)


class Drawer:
    """A segmenter with masks of our choice; cropping and storing are the real thing."""

    name = "drawer"
    version = "1"

    def __init__(self, *boxes: Box) -> None:
        self.boxes = boxes
        self.mask = np.random.default_rng(0).random((40, 60)) < 0.5

    def segment(self, frame: Frame) -> list[Region]:
        return [Region(box, "traffic cone", self.mask) for box in self.boxes]

    def detect(self, frames: list[Frame]) -> list[tuple[Box, ...]]:
        raise AssertionError("masks must not be thrown away")


@pytest.mark.parametrize(
    ("box", "whole"),
    [
        (CONE, (10, 10, 20, 30)),
        (Box(10.2, 9.7, 19.1, 30.0, "cone", 0.9), (10, 9, 20, 30)),
        (Box(-7.5, 35.5, 5.5, 90.0, "cone", 0.9), (0, 35, 6, 40)),
    ],
)
def test_look__masks_fit_their_boxes_to_the_pixel(box, whole):
    drawer = Drawer(box)
    [found] = look(drawer, FRAME)
    x0, y0, x1, y1 = whole
    assert (found.box.x0, found.box.y0, found.box.x1, found.box.y1) == whole
    assert (found.mask == drawer.mask[y0:y1, x0:x1]).all()
    assert found.mask.dtype == np.bool_


def test_look__nothing_outside_the_frame():
    assert look(Drawer(Box(60, 0, 70, 10, "cone", 0.9)), FRAME) == ()
    outside = Box(-9, 0, -1, 10, "cone", 0.9)
    assert within([outside, Box(50, 30, 75, 44, "drum", 0.4)], FRAME) == (
        FoundObject(Box(50, 30, 60, 40, "drum", 0.4)),
    )


def test_best_score__of_all_found():
    assert best_score([FoundObject(CONE), FoundObject(Box(0, 0, 1, 1, "drum", 0.95))]) == 0.95
    assert best_score([]) == 0.0


def test_objects__round_trip_absent_and_broken_file(tmp_path: Path):
    path = tmp_path / "2026-03-01" / "objects.json"
    assert load_objects(path) == {}
    found = {"query-1": {"drawer": look(Drawer(CONE, CONE), FRAME), "plain": (FoundObject(CONE),), "blind": ()}}
    save_objects(path, found)
    again = load_objects(path)
    assert again == found
    assert again["query-1"]["plain"][0].mask is None
    for text in ('{"query-1": {"a": [{"box": [1, 2, 3, 4]}]}}', "[]", '{"query-1": []}', "half"):
        path.write_text(text)
        with pytest.raises(DataError, match="streetvision annotate --day 2026-03-01"):
            load_objects(path)
