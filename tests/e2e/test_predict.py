"""`streetvision predict` over a folder that holds good and bad files."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from streetvision_core.data import scenes
from streetvision_core.images.video_writing import encode_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the first one waits for a whole day


def jpeg(pixels, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    pixels = scenes.render(3, roadwork=True).frame.pixels
    drive = encode_video([pixels] * 3, fps=1)
    good = {
        "drive.mp4": drive,
        "street.jpg": jpeg(pixels),
        "cmyk.jpg": jpeg(pixels, "CMYK"),
        "grey.jpg": jpeg(pixels, "L"),
        "sub/nested.jpg": jpeg(scenes.render(4, roadwork=False).frame.pixels),
    }
    bad = {
        "broken.jpg": jpeg(pixels)[:900],
        "empty.jpg": b"",
        "text.jpg": b"not an image at all",
        "cut.mp4": drive[: len(drive) // 2],
        "[/b].jpg": b"its path looks like the terminal's markup",
        "photo.gif": b"GIF89a",
    }
    for name, data in {**good, **bad}.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    Image.fromarray((np.arange(64 * 64, dtype=np.uint16) * 16).reshape(64, 64)).save(
        tmp_path / "photos" / "sixteen.png"
    )
    frames = [Image.fromarray(np.full((32, 32, 3), v, np.uint8)) for v in (0, 255)]
    frames[0].save(tmp_path / "photos" / "moving.webp", save_all=True, append_images=frames[1:])
    Image.fromarray(np.zeros((9000, 9000), np.uint8)).save(tmp_path / "photos" / "huge.png")
    return tmp_path / "photos"


def test_predict__bad_files_are_reported_one_by_one(day, folder):
    done = day.run("predict", folder, "--json")
    assert done.returncode == 3, done.stderr[-2000:]
    told = json.loads(done.stdout)
    names = {result["path"].rsplit("/", 1)[-1]: result for result in told["results"]}
    assert set(names) == {"street.jpg", "cmyk.jpg", "grey.jpg", "nested.jpg", "sixteen.png", "moving.webp"}
    assert names["moving.webp"]["notes"] == ["an animation of 2 frames: the first was looked at"]
    assert all(0 < result["p_roadwork"] < 1 and result["p_roadwork"] != 0.5 for result in names.values())
    errors = {error["path"].rsplit("/", 1)[-1]: error["error"] for error in told["errors"]}
    unreadable = {"broken.jpg", "empty.jpg", "text.jpg", "huge.png", "b].jpg", "photo.gif"}
    assert set(errors) == unreadable | {"cut.mp4"}
    assert errors["cut.mp4"] == "VideoBrokenError"
    [video] = told["videos"]
    assert video["path"].endswith("drive.mp4") and video["mode"] == "direct" and len(video["timeline"]) == 3
    assert errors["huge.png"] == "ImageTooLargeError"
    assert all(error["do"] for error in told["errors"])


def test_predict__evidence_on_request(day, folder):
    [answer] = day.json("predict", folder / "street.jpg", "--boxes")["results"]
    assert answer["evidence"][0]["stage"] == "classifier"


def test_predict__a_folder_without_images_is_a_named_error(day, tmp_path):
    done = day.run("predict", tmp_path, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "NoImagesError"


def test_predict__an_unknown_policy_is_a_named_error(day, folder):
    done = day.run("predict", folder / "street.jpg", "--policy", "luck")
    assert done.returncode == 1
    assert "allowed" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [("SV_PROFILE", "gold", "embedded, light, platinum"), ("SV_COLOUR", "red", "SV_COLOUR")],
)
def test_command__bad_settings_are_named(empty, variable, value, told):
    done = empty.run("doctor", **{variable: value})
    assert done.returncode == 1
    assert told in done.stderr
