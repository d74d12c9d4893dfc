"""The page at `/` as a person uses it: in a real browser, with photos and a video."""

import shutil
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from streetvision_core.data import scenes
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.serving.app import create_app
from streetvision_core.serving.engine import Facts
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import load_settings
from streetvision_core.types import Evidence, Verdict

from . import nginx as nginx_proxy
from .chromium import Browser, find_chromium

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here")


class SceneEngine(StubEngine):
    """Knows the rendered scene's true boxes, so that one can see whether the page draws them in the right places."""

    def __init__(self, scene):
        super().__init__("v0001-0123abcd")
        self.scene = scene
        self.stages = SimpleNamespace(
            present=[SimpleNamespace(stage=name) for name in ("classifier", "detectors", "ocr")]
        )

    def predict(self, frames):
        if frames[0].width != self.scene.frame.width:
            return [self.unsure(frame) for frame in frames]
        boxes = {"dense-lite2": self.scene.boxes}
        seen = (
            Evidence("classifier", {"logit": 0.2}, seconds=0.061),
            Evidence("detectors", {"agree.count": 2.0}, boxes, ("<b>ROAD WORK</b> AHEAD",), 0.118),
        )
        return [Verdict(0.973, "detectors", True, seen, self.version, "certified", 0.18) for _ in frames]

    def unsure(self, frame):
        """Any other picture: the classifier decides, near the threshold, by how bright it is."""
        p = 0.46 + 0.1 * (float(frame.pixels.mean()) > 128)
        seen = (Evidence("classifier", {"logit": 0.0}, seconds=0.06),)
        return Verdict(p, "classifier", True, seen, self.version, "certified", 0.06)


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
    assert text(browser, "#words").startswith("The file is damaged or not complete")
    assert '"error": "ImageBrokenError"' in text(browser, "#json")
    assert browser.evaluate("getComputedStyle(document.querySelector('#raw')).display") != "none"


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


SAME_HOST = "proxy_set_header Host $http_host;"


def flat(value, width=64, height=48):
    return encode_jpeg(np.full((height, width, 3), value, np.uint8))


def states(browser):
    script = "Array.from(document.querySelectorAll('#list .state'), e => e.textContent)"
    return list(browser.evaluate(script))


def test_page__stage_without_a_model_is_not_called_unneeded(world):
    browser, url, _, photo, _ = world
    browser.open(f"{url}/")
    browser.choose_file("#file", photo)
    browser.wait_for("document.querySelectorAll('#stages li').length === 4")
    lines = list(browser.evaluate("Array.from(document.querySelectorAll('#stages li'), e => e.textContent)"))
    assert lines[2] == "Vision-language model – no model for this stage"
    assert lines[3] == "Sign reading – not needed"


@pytest.mark.parametrize(("grey", "words"), [(40, "Unsure, perhaps no road work"), (200, "Unsure, perhaps road work")])
def test_page__answer_near_the_threshold_says_that_it_is_unsure(world, tmp_path, grey, words):
    browser, url, *_ = world
    (tmp_path / "grey.jpg").write_bytes(flat(grey))
    browser.open(f"{url}/")
    browser.choose_file("#file", tmp_path / "grey.jpg")
    browser.wait_for("!document.querySelector('#details').hidden")
    assert text(browser, "#answer") == words
    assert text(browser, "#words").startswith("The probability is close to one half: look for yourself.")


def test_page__several_photos_and_a_video_at_once(world, tmp_path):
    pytest.importorskip("av")
    from streetvision_core.images.video_writing import encode_video

    browser, url, _, photo, broken = world
    drive, unnamed = tmp_path / "drive.mp4", tmp_path / "unnamed.bin"
    drive.write_bytes(encode_video([np.full((64, 96, 3), 30 if i < 12 else 230, np.uint8) for i in range(24)], fps=4))
    shutil.copy(drive, unnamed)  # the browser does not know what it is, the server does
    (tmp_path / "grey.jpg").write_bytes(flat(40))
    browser.open(f"{url}/")
    browser.choose_file("#file", photo, broken, drive, tmp_path / "grey.jpg", unnamed)
    done = "Array.from(document.querySelectorAll('#list .state'))"
    browser.wait_for(f"!{done}.some(e => /^(Wait|Look|Watch)/.test(e.textContent))")
    sure, bad, video, unsure, same = states(browser)
    assert (sure, bad, unsure) == ("Road work", "No answer", "Unsure, perhaps no road work")
    assert video == same == "Unsure, perhaps road work"  # each frame says 0.46 or 0.56
    assert text(browser, "#answer") == "Road work"
    browser.evaluate("document.querySelectorAll('#list button')[2].click()")
    browser.wait_for("document.querySelector('#video').readyState >= 1")
    assert text(browser, "#words").startswith("One stretch shows road work.")
    assert "0:0" in text(browser, "#stretches")
    browser.evaluate("document.querySelector('#stretches button').click()")
    browser.wait_for("document.querySelector('#video').currentTime > 1")
    browser.evaluate("document.querySelectorAll('#list button')[0].click()")
    browser.wait_for("document.querySelector('#picture').dataset.boxes !== undefined")
    assert text(browser, "#answer") == "Road work"
    browser.screenshot(tmp_path / "several.png")


class LateChampion:
    """The registry of a server whose first version is still being trained."""

    def __init__(self, engine):
        self.engine, self.there = engine, threading.Event()

    def name(self):
        return self.engine.version if self.there.is_set() else None

    def load(self, name):
        return self.engine

    def facts(self, name):
        return Facts()


def test_page__while_the_server_starts_it_says_so_and_answers_by_itself(world, tmp_path):
    browser, _, scene, photo, _ = world
    champion = LateChampion(SceneEngine(scene))
    base = load_settings("embedded")
    settings = base.model_copy(update={"serving": base.serving.model_copy(update={"reload_seconds": 0.05})})
    with in_background(create_app(None, settings, champions=champion)) as url:
        browser.open(f"{url}/")
        browser.wait_for("!document.querySelector('#notice').hidden")
        assert text(browser, "#notice").startswith("The server is starting")
        browser.choose_file("#file", photo)
        browser.screenshot(tmp_path / "starting.png")
        time.sleep(0.3)
        assert text(browser, "#answer") == "Waiting"
        champion.there.set()
        browser.wait_for("document.querySelector('#answer').textContent === 'Road work'")
        assert browser.evaluate("document.querySelector('#notice').hidden")


def test_page__server_that_went_away_is_waited_for(world):
    browser, _, scene, photo, _ = world
    app = lambda: create_app(SceneEngine(scene), load_settings("embedded"))  # noqa: E731
    with in_background(app()) as url:
        browser.open(f"{url}/")
        browser.wait_for("document.querySelector('#notice').hidden")
    port = int(url.rsplit(":", 1)[1])
    browser.choose_file("#file", photo)
    browser.wait_for("/does not answer/.test(document.querySelector('#notice').textContent)")
    with in_background(app(), port=port):
        browser.wait_for("document.querySelector('#answer').textContent === 'Road work'")


@pytest.mark.skipif(not nginx_proxy.FOUND, reason="no nginx here")
def test_page__photo_that_nginx_refuses_for_its_size_is_told_so(world, tmp_path):
    browser, upstream, _, photo, _ = world
    large = tmp_path / "large.jpg"
    large.write_bytes(photo.read_bytes() + bytes(2_000_000))
    with nginx_proxy.nginx(
        tmp_path, upstream, SAME_HOST
    ) as url:  # client_max_body_size is 1 MB where nobody says otherwise
        browser.open(f"{url}/")
        browser.choose_file("#file", photo, large)
        browser.wait_for("document.querySelectorAll('#list .state')[1].textContent === 'No answer'")
        browser.evaluate("document.querySelectorAll('#list button')[1].click()")
        assert "larger than a proxy in front of this server lets through" in text(browser, "#words")
        assert "2.0 MB" in text(browser, "#words") or "2.1 MB" in text(browser, "#words")
        assert states(browser)[0] == "Road work"


@pytest.mark.skipif(not nginx_proxy.FOUND, reason="no nginx here")
def test_page__proxy_whose_server_is_away_is_explained_and_waited_for(world, tmp_path):
    browser, _, scene, photo, _ = world
    app = lambda: create_app(SceneEngine(scene), load_settings("embedded"))  # noqa: E731
    with in_background(app()) as upstream:
        pass
    with nginx_proxy.nginx(tmp_path, upstream, SAME_HOST) as url:
        with in_background(app(), port=int(upstream.rsplit(":", 1)[1])):
            browser.open(f"{url}/")
            browser.wait_for("document.querySelector('#notice').hidden")
        browser.choose_file("#file", photo)
        browser.wait_for("/^A proxy answers/.test(document.querySelector('#notice').textContent)")
        with in_background(app(), port=int(upstream.rsplit(":", 1)[1])):
            browser.wait_for("document.querySelector('#answer').textContent === 'Road work'")
