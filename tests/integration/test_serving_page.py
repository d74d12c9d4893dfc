"""The page at `/` as a person uses it: in a real browser, with a photo."""

import numpy as np
import pytest

from streetvision_core.data import scenes
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.serving.app import create_app
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import load_settings
from streetvision_core.types import Evidence, Verdict

from .chromium import Browser, find_chromium

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here")


class SceneEngine(StubEngine):
    """Knows the rendered scene's true boxes, so that one can see whether the page draws them in the right places."""

    def __init__(self, scene):
        super().__init__("v0001-0123abcd")
        self.scene = scene

    def predict(self, frames):
        boxes = {"dense-lite2": self.scene.boxes}
        seen = (
            Evidence("classifier", {"logit": 0.2}, seconds=0.061),
            Evidence("detectors", {"agree.count": 2.0}, boxes, ("<b>ROAD WORK</b> AHEAD",), 0.118),
        )
        return [Verdict(0.973, "detectors", True, seen, self.version, "certified", 0.18) for _ in frames]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    scene = scenes.render(11, roadwork=True, width=960, height=540)
    app = create_app(SceneEngine(scene), load_settings("embedded"))
    folder = tmp_path_factory.mktemp("browser")
    photo, broken = folder / "scene.jpg", folder / "broken.jpg"
    photo.write_bytes(encode_jpeg(scene.frame.pixels, 90))
    broken.write_bytes(photo.read_bytes()[:1000])
    with in_background(app) as url, Browser(folder / "profile") as browser:
        yield browser, url, scene, photo, broken


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({selector!r}).textContent")


def test_page__photo_gets_answer_boxes_and_deciding_stage(world, tmp_path):
    browser, url, scene, photo, _ = world
    browser.open(f"{url}/")
    browser.screenshot(tmp_path / "empty.png")
    browser.choose_file("#file", photo)
    browser.wait_for("document.querySelector('#picture').dataset.boxes !== undefined")
    browser.screenshot(tmp_path / "answer.png")
    assert text(browser, "#answer") == "Road work"
    assert text(browser, "li.decided").startswith("Object detectors")
    assert "0.973" in text(browser, "#facts")
    assert browser.evaluate("+document.querySelector('#picture').dataset.boxes") == len(scene.boxes)
    # a box's corner has a box's colour, and the text an OCR read stays text
    box = scene.boxes[0]
    spot = f"document.querySelector('#picture').getContext('2d').getImageData({box.x0}, {(box.y0 + box.y1) / 2}, 1, 1)"
    colour = np.array(list(browser.evaluate(f"Array.from({spot}.data)"))[:3])
    original = scene.frame.pixels[int((box.y0 + box.y1) / 2), int(box.x0)]
    assert np.abs(colour - original).max() > 30
    assert "<b>ROAD WORK</b> AHEAD" in text(browser, "#facts")
    assert browser.evaluate("document.querySelectorAll('#facts b').length") == 0


def test_page__broken_photo_is_explained(world, tmp_path):
    browser, url, _, _, broken = world
    browser.open(f"{url}/")
    browser.choose_file("#file", broken)
    browser.wait_for("document.querySelector('#answer').textContent === 'No answer'")
    browser.screenshot(tmp_path / "broken.png")
    assert "ImageBrokenError" in text(browser, "#words")


def test_page__asks_nobody_else_and_the_policy_blocks_nothing_it_needs(world):
    browser, url, *_ = world
    browser.open(f"{url}/")
    assert all(u.startswith((url, "data:", "about:", "blob:")) for u in browser.requested())
    # the refused photo's own 400 is the only thing a console may show
    assert [c for c in browser.complaints() if "400 (Bad Request)" not in str(c)] == []


def test_page__policy_blocks_what_it_does_not_need(world):
    browser, url, *_ = world
    browser.open(f"{url}/")
    browser.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.evil=1\">')")
    browser.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.evil=1'; document.body.append(s)"
    )
    assert browser.evaluate("window.evil === undefined")
