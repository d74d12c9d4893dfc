import numpy as np

from streetvision_core.images.annotate import annotate, shown_boxes
from streetvision_core.types import Box, Evidence, Frame, Verdict


def verdict(*boxes):
    seen = Evidence("detectors", {"n": 1.0}, {"yolo12n": boxes})
    return Verdict(0.9, "detectors", True, (seen,), "v1", "certified", 0.1)


def test_annotate__draws_boxes_and_the_answer_on_a_copy():
    frame = Frame.from_pixels(np.full((300, 400, 3), 90, np.uint8), "grey")
    seen = verdict(Box(100, 150, 200, 250, "cone", 0.8), Box(300, 100, 350, 150, "sign", 0.1))
    assert [box.label for box in shown_boxes(seen)] == ["cone"], "weak boxes would hide what there is"
    drawn = annotate(frame, seen, True)
    assert drawn.shape == frame.pixels.shape and (frame.pixels == 90).all()
    changed = (drawn != frame.pixels).any(axis=2)
    assert changed[:12, :20].all(), "the answer stands in the corner"
    assert changed[150:250, 100].all() and changed[250, 100:200].all(), "the cone's box"
    assert not changed[160:240, 110:190].any() and not changed[110:140, 310:340].any()


def test_annotate__takes_a_picture_of_any_size():
    for shape in ((1, 1, 3), (5, 2000, 3)):
        frame = Frame.from_pixels(np.zeros(shape, np.uint8), "odd")
        assert annotate(frame, verdict(Box(0, 0, 900, 900, "cone", 0.9)), False).shape == shape
