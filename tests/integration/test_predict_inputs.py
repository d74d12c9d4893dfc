"""`predict` as a person starts it, on every strange kind of file, and on what goes wrong around it."""

import base64
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.strange_files import JPEG, KINDS, PHOTO, PNG, VIDEO, make_all
from tests.small_world import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Shop:
    """A workspace that has a version, and the command in it."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def environment(self, **variables):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SV_")}
        return kept | SMALL | {"SV_PATHS__HOME": str(self.home), "COLUMNS": "80"} | variables

    def command(self, *arguments):
        return [sys.executable, "-m", "streetvision_core", "predict", *map(os.fspath, arguments)]

    def run(self, *arguments, folder=None, **variables):
        return subprocess.run(
            self.command(*arguments),
            cwd=folder or self.home,
            env=self.environment(**variables),
            capture_output=True,
            check=False,
            timeout=600,
        )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    made = Shop(tmp_path_factory.mktemp("shop") / "home")
    made.home.mkdir()
    (made.home / "one.jpg").write_bytes(JPEG)
    done = made.run("one.jpg")
    assert done.returncode == 0, done.stderr.decode()
    return made


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos") / "strange"
    make_all(folder)
    return folder


def key(row):
    """A row's file name as the file system has it."""
    raw = base64.b64decode(row["path_base64"]) if "path_base64" in row else row["path"].encode()
    return os.fsdecode(raw).rsplit("/", 1)[-1]


@pytest.fixture(scope="module")
def answered(shop, strange):
    """One run over the folder, in a locale whose streams are strict."""
    strict = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8:strict", "LC_ALL": "C"}
    # An editable install names its checkout in UTF-8, which Python cannot follow in this locale; bytes it can.
    strict["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = shop.run(strange, "--json", **strict)
    assert done.returncode == 3, done.stderr.decode()[-3000:]
    return json.loads(done.stdout), done.stderr.decode()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: os.fsencode(kind.name)[:30].decode("ascii", "replace"))
def test_predict__every_kind_of_file(answered, kind):
    document, said = answered
    rows = {
        "photo": {key(row): row for row in document["results"]},
        "video": {key(row): row for row in document["videos"]},
        "error": {key(row): row for row in document["errors"]},
        "skipped": {key(row): row for row in document["skipped"]},
    }
    found = [name for name, some in rows.items() if kind.name in some]
    assert len(found) == 1, f"each file stands in one list, this one in {found}"
    row = rows[found[0]][kind.name]
    if kind.becomes in (PHOTO, VIDEO):
        assert found == [kind.becomes]
        assert kind.says in " ".join(row["notes"]) and bool(row["notes"]) == (bool(kind.says) or kind.becomes == VIDEO)
    elif kind.becomes.endswith("Error"):
        assert (found, row["error"]) == (["error"], kind.becomes)
        assert kind.says in f"{row['got']} {row['do']}" and row["do"]
        assert kind.becomes in said
    else:
        assert (found, row["reason"]) == (["skipped"], kind.becomes)


def test_predict__values_of_strange_kinds_are_right(answered):
    document, said = answered
    photos, videos = ({key(r): r for r in document[part]} for part in ("results", "videos"))
    plain = photos["plain.jpg"]["p_roadwork"]
    same = (
        "motion.jpg",
        "trailing.jpg",
        "profile.jpg",
        "odd-exif.jpg",
        "odd-comment.jpg",
        "two\nlines.jpg",
        "no-suffix",
    )
    assert {name: photos[name]["p_roadwork"] for name in same} == dict.fromkeys(same, plain)
    assert "beside.jpg" in photos, "a linked folder is entered"
    assert (photos["turned-6.jpg"]["width"], photos["turned-6.jpg"]["height"]) == (240, 320)
    assert videos["unsteady.mp4"]["seconds"] < 9 and 1.9 < videos["joined.ts"]["seconds"] < 2.1
    left = len(document["skipped"])
    assert document["summary"]["skipped"] == left and f"{left} not looked at (" in said
    assert "Traceback" not in said and "UserWarning" not in said


def test_predict__rows_for_people_are_whole_and_on_one_line(shop, strange):
    assert shop.run(strange / "really-a-png.txt").returncode == 0, "called like a list, it is a picture"
    names = ("n" * 240 + ".jpg", "two\nlines.jpg", os.fsdecode(b"caf\xe9.jpg"), "moving.png", "gone.png", "cut.png")
    done = shop.run(*(strange / name for name in names))
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["road", "work", "p", "stage", "ms", "file"]
    assert [line.rsplit("/", 1)[-1] for line in lines[1:]] == [
        "n" * 240 + ".jpg",
        "two\\nlines.jpg",
        "caf\\xe9.jpg",
        "moving.png  (an animation of 3 frames: the first was looked at)",
    ]
    said = done.stderr.decode()
    assert "FileMissingError: no file" in said and "ImageBrokenError" in said
    assert "4 photos, " in said and "2 could not be read (see above)" in said
    assert done.returncode == 3


def test_predict__csv_has_a_row_for_every_file(shop, strange):
    names = ("=SUM(A1).jpg", "plain.jpg", "drive.mp4", "cut.jpg")
    done = shop.run(*names, "--csv", folder=strange)
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert [(row["path"], row["media"], bool(row["error"])) for row in rows] == [
        ("./=SUM(A1).jpg", "photo", False),
        ("plain.jpg", "photo", False),
        ("drive.mp4", "video", False),
        ("cut.jpg", "", True),
    ]
    assert float(rows[1]["p_roadwork"]) > 0 and float(rows[2]["seconds"]) > 0


def test_predict__a_spreadsheets_list_of_paths(shop, strange, tmp_path):
    table = "Name;Path;Note\r\nA;plain.jpg;x\r\nB;straße 山 🚧.jpg;\r\nC;drive.mp4;\r\n"
    (strange / "list.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    try:
        done = shop.run(strange / "list.csv", "--json", folder=tmp_path)
    finally:
        (strange / "list.csv").unlink()
    document = json.loads(done.stdout)
    assert [key(row) for row in document["results"]] == ["plain.jpg", "straße 山 🚧.jpg"]
    assert [key(row) for row in document["videos"]] == ["drive.mp4"]
    assert done.returncode == 0


def test_predict__the_threshold_is_the_callers(shop, strange):
    p = json.loads(shop.run(strange / "plain.jpg", "--json").stdout)["results"][0]["p_roadwork"]
    for threshold, expected in ((p - 0.01, True), (p + 0.01, False)):
        document = json.loads(shop.run(strange / "plain.jpg", "--json", "--threshold", str(threshold)).stdout)
        assert (document["threshold"], document["results"][0]["roadwork"]) == (threshold, expected)
    assert shop.run(strange / "plain.jpg", "--threshold", "2").returncode == 2
    assert shop.run(strange / "plain.jpg", "--json", "--csv").returncode == 2


def test_predict__annotated_copies_never_replace_anything(shop, tmp_path):
    from PIL import Image

    photos, seen = tmp_path / "photos", tmp_path / "photos" / "seen"
    seen.mkdir(parents=True)
    (photos / "a.jpg").write_bytes(JPEG)
    (photos / "a.png").write_bytes(PNG)
    (seen / "a.jpg").write_bytes(b"mine")
    done = shop.run(photos, "--json", "--save-annotated", seen)
    document = json.loads(done.stdout)
    assert [Path(row["annotated"]).name for row in document["results"]] == ["a-2.jpg", "a-3.jpg"]
    assert (seen / "a.jpg").read_bytes() == b"mine" and (photos / "a.jpg").read_bytes() == JPEG
    for row in document["results"]:
        assert Image.open(row["annotated"]).size == (row["width"], row["height"])
    assert {row["reason"] for row in document["skipped"]} == {"written by --save-annotated"}
    assert shop.run(photos, "--save-annotated", photos).returncode == 2


def test_predict__keeps_the_settings_limits(shop, strange):
    done = shop.run(strange / "plain.jpg", "--json", SV_DECODE__MAX_PIXELS="1000")
    (error,) = json.loads(done.stdout)["errors"]
    assert error["error"] == "ImageTooLargeError" and "at most 1000 pixels" in error["allowed"]
    done = shop.run(strange / "moving.gif", "--json", SV_DECODE__ANIMATION="refuse")
    assert json.loads(done.stdout)["errors"][0]["got"].startswith("an animation of several frames")
    assert done.returncode == 1


def test_predict__nothing_to_look_at_is_a_named_error(shop, tmp_path):
    (tmp_path / "notes.txt").write_text("buy cones")
    done = shop.run(tmp_path, "--json")
    assert json.loads(done.stdout)["error"] == "NoImagesError" and "1 text" in json.loads(done.stdout)["got"]
    assert done.returncode == 1
    for name in ("x" * 5000, "x" * 5000 + ".csv", "gone.txt"):
        done = shop.run(name, "--json")
        assert done.returncode == 1 and b"Traceback" not in done.stderr
        assert json.loads(done.stdout)["errors"][0]["error"] in ("PathError", "FileMissingError")


def many(folder, count):
    for number in range(count):
        (folder / f"{number:04}.jpg").write_bytes(JPEG)
    return folder


def test_predict__interrupted_it_says_what_was_done_and_the_document_is_whole(shop, tmp_path):
    command = shop.command(many(tmp_path, 400), "--json")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=shop.environment(), cwd=shop.home, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None and process.stderr is not None
        written = b"".join(process.stdout.readline() for _ in range(5))
        process.send_signal(signal.SIGINT)
        written += process.stdout.read()
        said = process.stderr.read()
    document = json.loads(written)
    assert process.returncode == 130 and document["interrupted"]
    assert 0 < len(document["results"]) < 400
    assert f"interrupted after {len(document['results'])} photo" in said.decode()


def test_predict__a_reader_that_has_seen_enough_is_no_trouble(shop, tmp_path):
    command = shop.command(many(tmp_path, 60))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=shop.environment(), cwd=shop.home, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(120) == 0
    assert "Broken" not in said and "Traceback" not in said


def test_predict__the_first_of_thousands_is_answered_before_the_folder_is_read(shop, tmp_path):
    command = shop.command(many(tmp_path, 3000))
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=shop.environment(), cwd=shop.home, stdout=pipe, stderr=subprocess.DEVNULL
    ) as one:
        assert one.stdout is not None
        one.stdout.readline()
        answered, until = [], time.monotonic() + 60
        while len(answered) < 4 and time.monotonic() < until:
            answered.append(one.stdout.readline())
        one.kill()
    assert len(answered) == 4 and b"0000.jpg" in answered[0]


def test_predict__help_lists_exit_codes_and_examples(shop):
    shown = " ".join(shop.run("--help", COLUMNS="200").stdout.decode().split())
    for part in ("Exit codes", "130 interrupted", "3 some files could not be read", "--save-annotated", "--threshold"):
        assert part in shown
