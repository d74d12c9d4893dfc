import numpy as np
import pytest

from streetvision_core.errors import ImageFormatError
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.images.provenance import into_jpeg, read_provenance, to_png
from streetvision_core.mining.quality import QualityGate
from streetvision_core.types import Box

RNG = np.random.default_rng(0)
MIDDLE = RNG.standard_normal(64)


def street(n):
    return (MIDDLE + 0.5 * RNG.standard_normal((n, 64))).astype(np.float32)


def cone(score):
    return (Box(0, 0, 5, 5, "cone", score),)


@pytest.fixture
def gate():
    return QualityGate(street(200), 0.985)


def test_judge__a_street_with_a_cone_passes_once(gate):
    one = street(1)[0]
    assert gate.judge(one, cone(0.8), 1).refusal == ""
    again = gate.judge(one * 3, cone(0.8), 1)
    assert again.refusal == "near-duplicate"
    assert again.nearest == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("features", "boxes", "label", "refusal"),
    [
        (-MIDDLE.astype(np.float32), cone(0.9), 1, "unlike real photos"),
        (None, cone(0.3), 1, "nothing detected"),
        (None, (), 1, "nothing detected"),
        (None, cone(0.9), 0, "road work detected"),
        (None, cone(0.3), 0, ""),
    ],
)
def test_judge__says_why(gate, features, boxes, label, refusal):
    assert gate.judge(street(1)[0] if features is None else features, boxes, label).refusal == refusal


def test_judge__real_streets_almost_all_pass(gate):
    refused = sum(bool(gate.judge(row, cone(0.8), 1).refusal) for row in street(200))
    assert refused <= 4


def test_judge__the_challenge_set_is_not_repeated():
    known = street(3)
    gate = QualityGate(street(50), 0.985, known)
    assert gate.judge(known[1], (), 0).refusal == "near-duplicate"


def test_provenance__travels_in_png_and_jpeg_without_touching_pixels():
    pixels = RNG.integers(0, 255, (24, 32, 3)).astype(np.uint8)
    said = {"generator": "x", "seed": 3, "prompt": "Straße"}
    png, jpeg = to_png(pixels, said), encode_jpeg(pixels)
    assert read_provenance(png) == said
    assert (decode_image(png, "p").pixels == pixels).all()
    told = into_jpeg(jpeg, said)
    assert read_provenance(told) == said
    assert (decode_image(told, "a").pixels == decode_image(jpeg, "b").pixels).all()
    assert read_provenance(jpeg) is None


def test_provenance__too_much_or_no_jpeg_is_refused():
    with pytest.raises(ImageFormatError, match="write a PNG"):
        into_jpeg(b"\x89PNG", {})
    with pytest.raises(ImageFormatError, match="write a PNG"):
        into_jpeg(b"\xff\xd8\xff", {"a": "x" * 70_000})
