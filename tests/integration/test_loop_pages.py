"""The pages in a real browser: no console message, no request, nothing wider than the screen."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streetvision_core.loop.report import render
from streetvision_core.loop.report.week import summarise_week

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from loop.stories import day_story

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")


def messages(page, folder):
    """What the browser's console says about a page."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--enable-logging=stderr", "--v=0", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "<html" in done.stdout
    return [line for line in done.stderr.splitlines() if re.search(r"CONSOLE[:(]", line)]


def test_messages__would_be_seen(tmp_path):
    page = tmp_path / "bad.html"
    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
    page.write_text(f"<!doctype html><html><head>{policy}</head><body><script>1</script></body></html>")
    assert messages(page, tmp_path)


@pytest.mark.parametrize("name", ["day", "week"])
def test_page__opens_without_a_console_message(tmp_path, name):
    story = day_story(pictures=4)
    text = render.day_page(story) if name == "day" else render.week_page(summarise_week("2026-W48", [story], "now"))
    page = tmp_path / f"{name}.html"
    page.write_text(text)
    assert messages(page, tmp_path) == []


@pytest.mark.parametrize("width", [400, 760])
def test_page__fits_a_narrow_screen(tmp_path, width):
    """A script of the test's own measures the page inside a frame of that width; the page itself carries none."""
    story = day_story(pictures=4)
    (tmp_path / "day.html").write_text(render.day_page(story))
    (tmp_path / "week.html").write_text(render.week_page(summarise_week("2026-W48", [story], "now")))
    frames = "".join(
        f'<iframe src="{n}.html" style="width:{width}px;height:900px;border:0"></iframe>' for n in ("day", "week")
    )
    code = (
        "onload = () => document.title = [...document.querySelectorAll('iframe')]"
        ".map(f => f.contentDocument.documentElement.scrollWidth).join(' ')"
    )
    (tmp_path / "frame.html").write_text(f"<!doctype html><title>-</title><body>{frames}<script>{code}</script>")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--allow-file-access-from-files", "--hide-scrollbars", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([*command, (tmp_path / "frame.html").as_uri()], capture_output=True, text=True, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    assert [int(w) for w in title[1].split()] == [width, width], "something is wider than the screen"
