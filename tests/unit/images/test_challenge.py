"""The eras against torchvision (what validators run) and against the distributions their code fixes."""

from __future__ import annotations

import io
import itertools
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from streetvision_core.errors import SettingsError
from streetvision_core.images import _distortions, _geometry, challenge
from streetvision_core.images._distortions import LEVELS, cast_without_clipping, distort
from streetvision_core.images._geometry import draw_square_crop, letterbox_floor, rotate_nearest
from streetvision_core.images.challenge import augment, draw_level, sample
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.types import Era

RNG = np.random.default_rng


def street(height: int = 270, width: int = 480, seed: int = 3) -> np.ndarray:
    """Smooth structure with noise on it: enough to see any shift of half a pixel."""
    rng = RNG(seed)
    coarse = rng.integers(30, 226, (9, 16, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return np.clip(smooth + rng.integers(-12, 13, smooth.shape), 1, 255).astype(np.uint8)


@pytest.mark.parametrize("era", ["crop-224", "letterbox-224"])
@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("shape", [(270, 480), (480, 270), (100, 90), (224, 224)])
def test_augment__is_224_square_and_seeded(era: Era, level: int, shape: tuple[int, int]) -> None:
    pixels = street(*shape)
    first, second = (augment(pixels, era, level, RNG(5)) for _ in range(2))
    assert first.shape == (224, 224, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    if level:
        assert not np.array_equal(first, augment(pixels, era, level, RNG(6)))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_augment__native_is_unchanged(level: int) -> None:
    pixels = street()
    assert augment(pixels, "native", level, RNG(0)) is pixels
    assert sample(pixels, "native", RNG(0))[1] == 0


def test_augment__unknown_era_and_level() -> None:
    with pytest.raises(SettingsError, match="crop-224, letterbox-224, native"):
        augment(street(), "crop-256", 0, RNG(0))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="0, 1, 2, 3"):
        augment(street(), "crop-224", 4, RNG(0))


def test_draw_level__is_uniform() -> None:
    rng = RNG(1)
    counts = np.bincount([draw_level(rng) for _ in range(8000)], minlength=4)
    assert stats.chisquare(counts).pvalue > 0.001


def test_sample__reports_the_level_it_used() -> None:
    pixels = street()
    for seed in range(8):
        image, level = sample(pixels, "letterbox-224", RNG(seed))
        rng = RNG(seed)
        assert draw_level(rng) == level
        np.testing.assert_array_equal(image, augment(pixels, "letterbox-224", level, rng))


def test_sample__jpeg_tables_are_those_of_quality_75() -> None:
    image, _ = sample(street(), "crop-224", RNG(2))
    theirs = io.BytesIO()
    Image.fromarray(image).save(theirs, format="JPEG")
    assert encode_jpeg(image) == theirs.getvalue()
    assert decode_image(encode_jpeg(image), "challenge").pixels.shape == (224, 224, 3)


# Geometry


@pytest.mark.parametrize("angle", [-20.0, -7.3, 0.0, 3.21, 20.0])
@pytest.mark.parametrize("shape", [(270, 480), (224, 224), (101, 77)])
def test_rotate_nearest__equals_torchvision(angle: float, shape: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchvision.transforms.functional")
    pixels = street(*shape)
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / 255)
    theirs = (functional.rotate(tensor, angle) * 255).byte().numpy().transpose(1, 2, 0)
    different = (rotate_nearest(pixels, angle) != theirs).any(axis=2).mean()
    assert different < 2e-3  # ties between two pixels, decided by float32 rounding


def test_rotate_nearest__corners_are_black_and_values_are_kept() -> None:
    pixels = street(200, 300)
    turned = rotate_nearest(pixels, 15)
    assert all((turned[y, x] == 0).all() for y in (0, -1) for x in (0, -1))
    assert set(map(tuple, turned.reshape(-1, 3))) <= {(0, 0, 0)} | set(map(tuple, pixels.reshape(-1, 3)))


def test_rotate_nearest__window_equals_a_crop_of_the_whole() -> None:
    pixels = street(300, 400)
    np.testing.assert_array_equal(
        rotate_nearest(pixels, -11.5, (37, 51, 200, 190)), rotate_nearest(pixels, -11.5)[37:237, 51:241]
    )


@pytest.mark.parametrize("window", [(10, 60, 200, 200), (0, 0, 270, 270), (100, 100, 121, 121), (3, 7, 224, 224)])
def test_resize_float_truncated__equals_torchvision_resized_crop(window: tuple[int, int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchvision.transforms.functional")
    pixels = street()
    top, left, height, width = window
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / 255)
    theirs = functional.resized_crop(tensor, top, left, height, width, [224, 224], antialias=True)
    expected = (theirs * 255).byte().numpy().transpose(1, 2, 0)
    ours = _geometry.resize_float_truncated(pixels[top : top + height, left : left + width], 224)
    difference = np.abs(ours.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_augment__level_0_of_the_crop_era_equals_torchvision() -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    pixels = street(271, 480)
    image = Image.fromarray(pixels)
    chain = transforms.Compose(
        [transforms.CenterCrop(min(image.size)), transforms.Resize((224, 224)), transforms.ToTensor()]
    )
    theirs = np.asarray(transforms.ToPILImage()(chain(image)))
    np.testing.assert_array_equal(augment(pixels, "crop-224", 0, RNG(0)), theirs)


@pytest.mark.parametrize("shape", [(270, 480), (481, 301), (50, 60), (3, 700)])
def test_letterbox_floor__equals_torchvision_resize_and_pad(shape: tuple[int, int]) -> None:
    functional = pytest.importorskip("torchvision.transforms.functional")
    pixels = street(*shape)
    scale = min(224 / shape[1], 224 / shape[0])
    height, width = max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))
    left, top = (224 - width) // 2, (224 - height) // 2
    resized = functional.resize(Image.fromarray(pixels), [height, width])
    padded = functional.pad(resized, [left, top, 224 - width - left, 224 - height - top], fill=0)
    np.testing.assert_array_equal(letterbox_floor(pixels, 224), np.asarray(padded))


def test_letterbox_floor__bars_are_black() -> None:
    boxed = letterbox_floor(street(270, 480), 224)
    assert (boxed[:49] == 0).all()
    assert (boxed[175:] == 0).all()
    assert (boxed[50:174] > 0).any(axis=2).all()


def test_draw_square_crop__area_is_uniform_on_a_square_image() -> None:
    rng = RNG(4)
    draws = np.array([draw_square_crop(1000, 1000, (0.2, 1.0), rng) for _ in range(3000)])
    assert (draws[:, 2] == draws[:, 3]).all()
    assert stats.kstest((draws[:, 2] / 1000) ** 2, stats.uniform(0.2, 0.8).cdf).pvalue > 0.001
    room = 1000 - draws[:, 2]
    assert stats.kstest((draws[:, 0] + 0.5) / (room + 1), "uniform").pvalue > 0.001


@settings(max_examples=100, deadline=None)
@given(height=st.integers(1, 600), width=st.integers(1, 600), seed=st.integers(0, 10**6))
def test_draw_square_crop__lies_inside(height: int, width: int, seed: int) -> None:
    top, left, rows, columns = draw_square_crop(height, width, (0.2, 1.0), RNG(seed))
    assert rows == columns > 0
    assert 0 <= top <= height - rows
    assert 0 <= left <= width - columns


def test_draw_square_crop__side_distribution_equals_torchvision_on_a_wide_image() -> None:
    torch = pytest.importorskip("torch")
    transforms = pytest.importorskip("torchvision.transforms")
    rng, image = RNG(9), torch.zeros(3, 270, 480)
    torch.manual_seed(9)
    theirs = [transforms.RandomResizedCrop.get_params(image, [0.2, 1.0], [1.0, 1.0])[2] for _ in range(2000)]
    ours = [draw_square_crop(270, 480, (0.2, 1.0), rng)[2] for _ in range(2000)]
    assert stats.ks_2samp(ours, theirs).pvalue > 0.001


def test_augment__rotation_angles_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    angles: list[float] = []

    def spy(pixels: np.ndarray, angle: float, window: object = None) -> np.ndarray:
        angles.append(angle)
        return np.zeros((224, 224, 3), np.uint8)

    monkeypatch.setattr(challenge, "rotate_nearest", spy)
    rng, pixels = RNG(8), street(64, 64)
    for _ in range(1500):
        augment(pixels, "letterbox-224", 1, rng)
    assert stats.kstest(angles, stats.uniform(-20, 40).cdf).pvalue > 0.001


@pytest.mark.parametrize("era", ["crop-224", "letterbox-224"])
def test_augment__never_flips(era: Era) -> None:
    # Red grows to the right and green to the bottom; 20 degrees cannot turn either around, a flip would.
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(50, 250, 300)[None, :]
    pixels[:, :, 1] = np.linspace(50, 250, 300)[:, None]
    for seed in range(60):
        middle = augment(pixels, era, 1, RNG(seed))[62:162, 62:162].astype(float)
        assert middle[:, -10:, 0].mean() > middle[:, :10, 0].mean()
        assert middle[-10:, :, 1].mean() > middle[:10, :, 1].mean()


def test_augment__crop_era_shows_black_corners_sometimes_letterbox_era_always_keeps_the_bars() -> None:
    white = np.full((270, 480, 3), 255, np.uint8)
    corners = [(augment(white, "crop-224", 1, RNG(s))[[0, 0, -1, -1], [0, -1, 0, -1]] == 0).any() for s in range(60)]
    assert 0 < sum(corners) < 60
    shares = [(augment(white, "letterbox-224", 1, RNG(s)) == 0).mean() for s in range(20)]
    assert min(shares) > 0.35  # 1 - 9/16 of the square, and nothing of the street is cropped away


# Distortions


@pytest.mark.parametrize(("level", "expected"), [(2, {"CS": 2, "CC": 2, "JPEG": 2}), (3, None)])
def test_augment__distortions_in_order_with_uniform_levels(
    level: int, expected: dict[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def spy(pixels: np.ndarray, distortion: str, drawn: int, rng: np.random.Generator) -> np.ndarray:
        seen.append((distortion, drawn))
        return pixels

    monkeypatch.setattr(challenge, "distort", spy)
    rng, pixels = RNG(11), street(64, 64)
    for _ in range(1200):
        augment(pixels, "letterbox-224", level, rng)
    order = ["CS", "CC", "JPEG"] if level == 2 else ["CS", "CC", "JPEG", "GNC", "GB"]
    assert [name for name, _ in seen[: len(order)]] == order
    for name in order:
        counts = np.bincount([drawn for other, drawn in seen if other == name])
        assert len(counts) == (2 if level == 2 else 3)
        assert stats.chisquare(counts).pvalue > 0.001


def test_levels__table() -> None:
    assert LEVELS == {
        "CS": (0.4, 0.3, 0.2, 0.1, 0.0),
        "CC": (0.85, 0.725, 0.6, 0.475, 0.35),
        "JPEG": (2, 3, 4, 5, 6),
        "GNC": (0.001, 0.002, 0.005, 0.01, 0.05),
        "GB": (7, 9, 13, 17, 21),
    }


@pytest.mark.parametrize("name", sorted(LEVELS))
def test_distort__level_0_changes_nothing_and_level_1_something(name: _distortions.Distortion) -> None:
    pixels = street(64, 80)
    assert distort(pixels, name, 0, RNG(0)) is pixels
    changed = distort(pixels, name, 1, RNG(0))
    assert changed.shape == pixels.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, pixels)


def test_distort__saturation_pulls_colours_to_grey_and_keeps_brightness() -> None:
    pixels = street(64, 64)
    spread = [np.ptp(distort(pixels, "CS", level, RNG(0)).astype(int), axis=2).mean() for level in range(6)]
    assert all(more > less for more, less in itertools.pairwise(spread))
    assert spread[5] < 1.1
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(distort(pixels, "CS", 5, RNG(0))[:, :, 1] - luma).max() <= 1.5


@pytest.mark.parametrize("level", [1, 2])
def test_distort__saturation_is_a_mix_with_the_luma(level: int) -> None:
    pixels = RNG(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    luma = (pixels @ np.array([0.299, 0.587, 0.114]))[:, :, None]
    expected = luma + LEVELS["CS"][level - 1] * (pixels - luma)
    difference = expected - distort(pixels, "CS", level, RNG(0))  # truncation takes half a grey level on average
    assert np.abs(difference).max() < 1.2
    assert difference.mean() == pytest.approx(0.5, abs=0.05)


def test_distort__saturation_channels_are_not_swapped() -> None:
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    r, g, b = distort(red, "CS", 1, RNG(0))[0, 0]
    assert r > g
    assert abs(int(g) - int(b)) <= 2


def test_cast_without_clipping__wraps() -> None:
    values = np.array([-1.5, -0.9, 0.99, 255.9, 256.0, 300.7, -10.0])
    np.testing.assert_array_equal(cast_without_clipping(values), [255, 0, 0, 255, 0, 44, 246])


@pytest.mark.parametrize("level", [1, 2])
def test_distort__saturation_of_8_bit_colours_never_reaches_the_wrap(level: int) -> None:
    """The missing clip is real, its artefact is not: every corner and a grid of all colours stay in range."""
    steps = np.unique(np.r_[0, 1, 2, 253, 254, 255, np.arange(0, 256, 5)]).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
    ycbcr = _distortions._bgr_to_ycbcr(np.ascontiguousarray(grid))
    ycbcr[:, :, 1:] = 0.5 + (ycbcr[:, :, 1:] - 0.5) * np.float32(LEVELS["CS"][level - 1])
    values = _distortions._ycbcr_to_bgr(ycbcr)
    assert values.min() > -1
    assert values.max() < 256


def test_distort__contrast_scales_and_truncates() -> None:
    pixels = street(32, 32)
    np.testing.assert_array_equal(
        distort(pixels, "CC", 2, RNG(0)), (pixels.astype(np.float32) * np.float32(0.725)).astype(np.uint8)
    )


@pytest.mark.parametrize("level", [1, 2])
def test_distort__jpeg_is_a_down_and_up_sampling(level: int) -> None:
    pixels = street(224, 224)
    factor = level + 1
    small = cv2.resize(pixels, (224 // factor, 224 // factor))
    np.testing.assert_array_equal(distort(pixels, "JPEG", level, RNG(0)), cv2.resize(small, (224, 224)))


@pytest.mark.parametrize("level", [1, 2])
def test_distort__noise_has_the_stated_variance(level: int) -> None:
    grey = np.full((300, 300, 3), 128, np.uint8)
    noisy = distort(grey, "GNC", level, RNG(0)).astype(float)
    luma = noisy @ np.array([0.299, 0.587, 0.114])
    assert luma.std() == pytest.approx(math.sqrt(LEVELS["GNC"][level - 1]) * 255 * 255 / 219, rel=0.03)
    assert luma.mean() == pytest.approx(128, abs=1.5)


@pytest.mark.parametrize("level", [1, 2])
def test_distort__blur_has_the_stated_kernel(level: int) -> None:
    pixels = street(64, 64)
    size = int(LEVELS["GB"][level - 1])
    np.testing.assert_array_equal(
        distort(pixels, "GB", level, RNG(0)), cv2.GaussianBlur(pixels, (size, size), size / 6)
    )
