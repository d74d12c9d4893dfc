import numpy as np
import pytest

from streetvision_core.data import scenes
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.mining.asking import MODE_QUESTIONS
from streetvision_core.mining.modes import NOT_TOLD, TOLD, measure, nearest_meters, tag
from streetvision_core.types import FAILURE_MODES, Box, Frame


def test_modes__each_is_either_told_or_said_not_to_be() -> None:
    assert sorted([*TOLD, *NOT_TOLD]) == sorted(FAILURE_MODES)
    assert set(MODE_QUESTIONS) == {*NOT_TOLD, "rain"}, "what no rule tells, or tells by day only, is asked"


@pytest.fixture(scope="module")
def clear() -> list[Frame]:
    return [scenes.render(seed, modes=[]).frame for seed in range(50_000, 50_008)]


@pytest.mark.parametrize("mode", ["night", "fog", "glare", "rain"])
def test_tag__tells_most_of_the_rendered_ones(mode: str, clear: list[Frame]) -> None:
    asked = [scenes.render(seed, modes=[mode]).frame for seed in range(50_000, 50_008)]  # type: ignore[list-item]
    assert sum(mode in tag(frame) for frame in asked) >= 5
    assert sum(mode in tag(frame) for frame in clear) <= 1


def test_tag__same_at_every_resolution_and_after_jpeg() -> None:
    frame = scenes.render(50_020, modes=["glare"]).frame
    twice = np.repeat(np.repeat(frame.pixels, 2, axis=0), 2, axis=1)
    jpeg = decode_image(encode_jpeg(frame.pixels), "jpeg").pixels
    assert tag(frame.pixels) == tag(twice) == tag(jpeg) == tag(frame)


def test_measure__leaves_out_a_letterbox() -> None:
    pixels = scenes.render(50_021, modes=[]).frame.pixels
    boxed = np.zeros((480, 480, 3), np.uint8)
    boxed[105:375] = pixels
    whole, inside = measure(pixels), measure(boxed)
    assert inside.to_dict() == pytest.approx(whole.to_dict(), abs=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 9)])
@pytest.mark.parametrize("value", [0, 255])
def test_measure__odd_shapes(shape: tuple[int, int], value: int) -> None:
    statistics = measure(np.full((*shape, 3), value, np.uint8))
    assert all(0 <= v <= 1 for v in statistics.to_dict().values())
    assert statistics.brightness == pytest.approx(value / 255)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], set()),
        ([Box(0, 0, 3, 6, "cone", 0.9)], {"far", "small"}),
        ([Box(0, 0, 3, 6, "cone", 0.9), Box(0, 0, 60, 120, "drum", 0.9)], set()),
        ([Box(0, 0, 60, 120, "drum", 0.2), Box(0, 0, 3, 6, "cone", 0.9)], {"far", "small"}),
        ([Box(0, 0, 60, 20, "vehicle", 0.9)], {"far"}),
    ],
)
def test_tag__far_and_small_from_boxes(boxes: list[Box], expected: set[str]) -> None:
    pixels = scenes.render(50_022, modes=[]).frame.pixels
    assert tag(pixels, boxes) & {"far", "small"} == expected
    assert tag(pixels, boxes, era="crop-224") & {"far", "small"} == set()


def test_nearest_meters__follows_a_pinhole_camera() -> None:
    near, far = Box(0, 0, 10, 40, "cone"), Box(0, 0, 5, 20, "cone")
    assert nearest_meters([far], 480) == pytest.approx(2 * nearest_meters([near], 480))
    assert nearest_meters([near, far], 480) == nearest_meters([near], 480)
    assert nearest_meters([], 480) == float("inf")
