"""A workspace that an earlier StreetVision left, in a user's hands: refused by name, migrated, serving, learning on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from streetvision_core.images.decode import encode_jpeg
from streetvision_core.learning.dataset import Dataset

from .conftest import Workspace

pytestmark = pytest.mark.slow
FIXTURE = Path(__file__).parents[1] / "fixtures" / "workspace-1"


@pytest.fixture
def old(tmp_path):
    shutil.copytree(FIXTURE, tmp_path / "home")
    return Workspace(tmp_path / "home")


def pictures(folder, count):
    rng = np.random.default_rng(0)
    for label in ("roadwork", "none"):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            (folder / label / f"{i}.jpg").write_bytes(encode_jpeg(rng.integers(0, 255, (300, 400, 3), np.uint8)))
    return folder


def test_an_earlier_workspace__goes_on_serving_and_says_what_waits(old):
    refused = old.run("daily", "--json")
    assert refused.returncode == 1 and json.loads(refused.stdout)["do"].startswith("run: streetvision migrate")
    assert not (old.home / "reports").exists()
    looked = old.run("versions", "list", "--json")
    assert looked.returncode == 0 and "its labels wait for: streetvision migrate" in looked.stderr
    answered = old.run("predict", str(next(pictures(old.home / "mine", 1).rglob("*.jpg"))), "--json")
    assert answered.returncode == 0, answered.stderr
    assert "v0001-78f196a1" in answered.stdout


def test_calibrate__too_few_photographs_register_nothing(old):
    refused = old.run("calibrate", str(pictures(old.home / "mine", 2)), "--json")
    assert refused.returncode == 1, refused.stderr
    error = json.loads(refused.stdout)
    assert error["error"] == "CalibrationError" and "groups with road work" in error["got"]
    assert len(list((old.home / "data" / "models").glob("v*"))) == 4


def test_calibrate__other_detectors_get_a_version_by_the_command_that_the_error_names(old):
    photo = str(next(pictures(old.home / "mine", 1).rglob("*.jpg")))
    alone = {"SV_MODELS__DETECTORS": '["dense-lite2"]'}
    refused = old.run("predict", photo, "--json", **alone)
    assert refused.returncode == 1 and "run: streetvision calibrate" in json.loads(refused.stdout)["do"]
    made = old.run("calibrate", "--json", **alone)
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert told["made_with"]["detectors"] == ["dense-lite2@1"] and told["from"] == "v0001-78f196a1"
    words = told["into_service"].split('"')
    assert old.run(*words[0].split()[1:], words[1], **alone).returncode == 0
    assert told["version"] in old.run("predict", photo, "--json", **alone).stdout
    back = old.run("predict", photo, "--json")
    assert back.returncode == 1 and json.loads(back.stdout)["error"] == "CalibrationMismatchError"


@pytest.mark.long
def test_migrate__then_a_night_learns_from_what_people_said(old):
    done = old.json("migrate")
    assert (done["recorded"], done["set_aside"]) == (25, 0)
    night = old.run("daily", "--demo", "--day", "2026-12-01", "--json", SV_MINING__WORKBENCH="off")
    assert night.returncode == 0, night.stderr
    (path,) = (old.home / "data" / "days").glob("*/dataset.parquet")
    people = [row for row in Dataset.load(path).rows if row.labelled_by == "person" and row.source == "query log"]
    assert len(people) == 7, "nine images were decided about, two of them set aside; a tag is no label"
    actions = [event["action"] for event in old.json("history")]
    assert actions[:6] == ["first", "challenge", "refuse", "challenge", "refuse", "override"]
    assert [key["name"] for key in old.json("keys", "list")] == ["alice", "bob"]
