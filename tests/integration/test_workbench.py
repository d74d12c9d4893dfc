"""FiftyOne for real: its database, Brain runs and exports, and what happens where it cannot run."""

import base64
import hashlib
import importlib.util
import io
import json
import os
import socket
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
import pytest
from PIL import Image

from streetvision_core.errors import WorkbenchError
from streetvision_core.labels import Decision
from streetvision_core.mining._mongod import Mongod
from streetvision_core.mining.annotate import Annotation, save_annotations
from streetvision_core.mining.objects import OBJECTS_FILE, FoundObject, look, save_objects
from streetvision_core.mining.review_app import open_app
from streetvision_core.mining.review_queue import ReviewQueue
from streetvision_core.mining.workbench import (
    WorkbenchJob,
    WorkbenchResult,
    WorkbenchSample,
    environment,
    run_workbench,
)
from streetvision_core.models.concepts import Region
from streetvision_core.types import Box, Evidence, Frame, Verdict

from .chromium import Browser, find_chromium

DAY = "2026-03-01"
N = 40

# Loaded by every Python process of the workbench: writes down each address anything connects to.
AUDIT = """
import os, sys
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        with open(os.environ["AUDIT_FILE"], "a") as file:
            file.write(f"{event} {args[1] if event == 'socket.connect' else args[0]!r}\\n")
sys.addaudithook(hook)
"""


def make_job(folder: Path, n: int = N, export: bool = True) -> WorkbenchJob:
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    samples = []
    for i in range(n):
        path = folder / "images" / f"{i}.jpg"
        Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(path)
        samples.append(make_sample(i, path, p=0.02 + 0.9 * i / n if i != n // 2 else 0.4999999))
    embeddings = rng.standard_normal((n, 64)).astype(np.float32)
    embeddings[1] = embeddings[0]  # a near-duplicate within TRAIN
    embeddings[n - 1] = 2 * embeddings[2]  # a near-duplicate in TEST of a row in TRAIN: a leak
    return WorkbenchJob("streets", DAY, samples, embeddings, folder / "export" if export else None)


def make_sample(i: int, path: Path, p: float) -> WorkbenchSample:
    boxes = {"yolo12n": (Box(8, 6, 40, 30, "cone", 0.5),)}
    evidence = (Evidence("classifier", {"logit": 1.0}), Evidence("detectors", {"yolo12n.cone.max": 0.5}, boxes))
    verdict = Verdict(p, "detectors", True, evidence, "v1", "certified", 0.1)
    return WorkbenchSample(
        name=f"query-{i}",
        filepath=str(path),
        verdict=verdict.to_dict(),
        p_roadwork=p,
        day=DAY,
        era="native",
        group=f"g{i // 4}",
        origin="rendered-scene",
        truth=i % 2,
        modes=("night",),
        reasons=("uncertain",) if i % 4 < 2 else (),
        hardness=1.0 - abs(2 * p - 1),
        split="TRAIN" if i < N // 2 else "TEST",
    )


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class Drawer:
    """A segmenter whose mask has no symmetry, so that a turned or shifted one would show."""

    name = "drawer"
    version = "1"
    mask = np.random.default_rng(1).random((60, 80)) < 0.5

    def segment(self, frame: Frame) -> list[Region]:
        return [Region(Box(19.6, 30, 40, 45, "cone", 0.75), "traffic cone", self.mask)]

    def detect(self, frames: list[Frame]) -> list[tuple[Box, ...]]:
        return [tuple(region.box for region in self.segment(frame)) for frame in frames]


def load_benchmark() -> ModuleType:
    path = Path(__file__).parents[1] / "perf" / "bench_workbench.py"
    spec = importlib.util.spec_from_file_location("bench_workbench", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def databases(folder: Path) -> list[psutil.Process]:
    return [
        p
        for p in psutil.process_iter(["cmdline"])
        if "mongod" in " ".join(p.info["cmdline"] or ()) and str(folder) in " ".join(p.info["cmdline"] or ())
    ]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[WorkbenchResult, Path]:
    """One real run of a day, watched for connections and for writes to the home folder."""
    folder = tmp_path_factory.mktemp("workbench")
    (folder / "audit").mkdir()
    (folder / "audit" / "sitecustomize.py").write_text(AUDIT)
    (folder / "user").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "audit"))
        patch.setenv("AUDIT_FILE", str(folder / "connections.txt"))
        patch.setenv("HOME", str(folder / "user"))
        job = make_job(folder)
        when = f"{DAY}T12:00:00+00:00"
        shown = [
            Annotation(s.name, digest(s.name), s.truth, (), "scene-truth", when, "why")
            for s in job.samples
            if s.reasons
        ]
        save_annotations(folder / "days" / DAY / "annotations.json", shown)
        noon = datetime.fromisoformat(when)
        truths = [Decision(a.sha256, a.label, "renderer", a.annotator, noon, query=a.id) for a in shown]
        ReviewQueue.of_data(folder).store.record_decisions(truths)
        seen = look(Drawer(), Frame.from_pixels(np.zeros((60, 80, 3), np.uint8), "black"))
        found = {"query-1": {"drawer": seen, "plain": (FoundObject(Box(0, 0, 40, 30, "drum", 0.5)),)}, "query-4": {}}
        save_objects(folder / "days" / DAY / OBJECTS_FILE, found)
        result = run_workbench(replace(job, days=folder / "days"), folder / "fiftyone", timeout_seconds=300)
    return result, folder


@pytest.mark.slow
def test_run_workbench__brain_finds_what_is_there(day: tuple[WorkbenchResult, Path]) -> None:
    result, _ = day
    assert (result.samples, result.total) == (N, N)
    assert result.near_duplicates == 2
    assert result.leaks == 2
    assert result.hardest[0] == f"query-{N // 2}"
    assert len(result.unusual) == 10
    assert not {"query-0", "query-1"} & set(result.unusual)
    assert [view.removeprefix(f"{DAY} ") for view in result.views] == [
        "all", "mined", "hardest", "wrong", "near-duplicates", "leaks", "needs review", "hardest today",
        "detectors disagree", "likely label errors", "false alarms",
    ]  # fmt: skip
    assert result.notes == ()


@pytest.mark.slow
def test_run_workbench__exports_both_formats(day: tuple[WorkbenchResult, Path]) -> None:
    result, folder = day
    mined = [s for s in make_job(folder).samples if s.reasons]
    stored = json.loads((Path(result.exports["fiftyone"]) / "samples.json").read_text())["samples"]
    assert sorted(s["name"] for s in stored) == sorted(s.name for s in mined)
    assert {s["prediction"]["label"] for s in stored} == {"none", "roadwork"}
    assert all(s["evidence"] == {"logit": 1.0, "yolo12n_cone_max": 0.5} for s in stored)
    tree = Path(result.exports["classes"])
    by_class = {name: {p.name for p in (tree / name).iterdir()} for name in ("none", "roadwork")}
    for label, name in enumerate(("none", "roadwork")):
        assert by_class[name] == {Path(s.filepath).name for s in mined if s.truth == label}


@pytest.mark.slow
def test_run_workbench__shows_what_annotation_found(day: tuple[WorkbenchResult, Path]) -> None:
    result, _ = day
    stored = json.loads((Path(result.exports["fiftyone"]) / "samples.json").read_text())["samples"]
    shown = {s["name"]: s["annotated"]["detections"] for s in stored if s.get("annotated")}
    assert {name: len(found) for name, found in shown.items()} == {"query-1": 2, "query-4": 0}
    drawn, plain = shown["query-1"]
    assert (drawn["source"], drawn["label"], drawn["confidence"]) == ("drawer", "cone", 0.75)
    assert drawn["bounding_box"] == pytest.approx([19 / 80, 0.5, 21 / 80, 0.25])
    packed = base64.b64decode(drawn["mask"]["$binary"]["base64"])
    mask = np.load(io.BytesIO(zlib.decompress(packed)), allow_pickle=False)
    assert (mask == Drawer.mask[30:45, 19:40]).all()
    assert (plain["source"], plain["bounding_box"], plain.get("mask")) == ("plain", [0, 0, 0.5, 0.5], None)


@pytest.mark.slow
def test_run_workbench__leaves_nothing_and_connects_nowhere(day: tuple[WorkbenchResult, Path]) -> None:
    _, folder = day
    assert databases(folder) == []
    seen = (folder / "connections.txt").read_text().splitlines()
    assert any("mongod.sock" in line for line in seen), "the audit must see at least the database"
    assert [line for line in seen if "mongod.sock" not in line] == []
    assert [p for p in (folder / "user").rglob("*") if p.is_file()] == []


@pytest.mark.slow
def test_work__a_later_day_erases_nothing_and_scores_equal_fiftyones() -> None:
    measured = load_benchmark().measure(24)
    assert measured["days"] == 2
    assert measured["first_day_unchanged"]
    assert measured["objects_replace_their_field_alone"]
    assert {"hardness_2026_03_01", "mistakenness_2026_03_01", "uniqueness_2026_03_01"} <= set(measured["runs"])
    assert {"hardness_2026_03_02", "mistakenness_2026_03_02", "similarity"} <= set(measured["runs"])
    assert measured["indexed"] == 48, "the similarity index has grown"
    assert max(measured["largest_difference"].values()) < 1e-9


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="needs chromium")
def test_review_app__a_key_decides_and_the_next_frame_comes(day: tuple[WorkbenchResult, Path], tmp_path: Path) -> None:
    _, folder = day
    queue = ReviewQueue.of_data(folder)
    page = "document.body.innerText"
    with (
        open_app(folder / "fiftyone", queue.folder, "streets", "anna", timeout_seconds=300) as app,
        Browser(tmp_path / "profile", 1500, 900) as tab,
    ):
        tab.open(app.url)
        tab.wait_for(f"{page}.includes('20 frames wait for review')", 240)
        assert tab.evaluate(f"{page}.includes('query-20')"), "the hardest comes first"
        tab.evaluate("document.activeElement.blur()")
        press(tab, "Digit2")
        tab.wait_for(f"{page}.includes('19 frames wait for review')", 120)
        press(tab, "Digit3", shift=True)
        wait_until(lambda: len(people(queue)) == 2, 120)
        tab.screenshot(folder / "review.png")
        flip, tag = people(queue)
        assert (flip.query, flip.label, flip.who, flip.source) == ("query-20", 1, "anna", "person")
        assert (tag.only_tags, tag.tags) == (True, ("fog",))
        assert tag.query != "query-20"
        press(tab, "KeyU")
        wait_until(lambda: people(queue) == [flip], 120)
        assert next(f for f in queue.frames(DAY) if f.shown.id == "query-20").choice == "flip"
        press(tab, "KeyU")
        tab.wait_for(f"{page}.includes('20 frames wait for review')", 120)
    assert people(queue) == []
    assert databases(folder) == []


def people(queue: ReviewQueue) -> list[Decision]:
    return [d for d in queue.store.decisions() if d.source == "person"]


def press(tab: Browser, code: str, shift: bool = False) -> None:
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, code=code, key=code[-1], modifiers=8 * shift)


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_open_app__named_errors(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WorkbenchError, match=f"port {port}"), open_app(tmp_path, tmp_path, "streets", "anna", port):
            pass
    (tmp_path / "db").write_text("a file where the database's folder should be")
    with pytest.raises(WorkbenchError, match="File exists"), open_app(tmp_path, tmp_path, "streets", "anna"):
        pass


def test_run_workbench__database_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "fiftyone").mkdir()
    (tmp_path / "fiftyone" / "db").write_text("a file where the database's folder should be")
    with pytest.raises(WorkbenchError, match="File exists") as caught:
        run_workbench(make_job(tmp_path, 4), tmp_path / "fiftyone", timeout_seconds=60)
    assert "SV_MINING__WORKBENCH=off" in caught.value.action
    assert databases(tmp_path) == []


def test_run_workbench__time_limit_ends_the_child_and_its_database(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"no end after 3 s"):
        run_workbench(make_job(tmp_path, 4), tmp_path / "fiftyone", timeout_seconds=3)
    assert (tmp_path / "fiftyone" / "db").is_dir(), "the database had begun"
    assert databases(tmp_path) == []


def test_run_workbench__folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "fiftyone").write_text("a file")
    with pytest.raises(WorkbenchError, match="the loop can go on without it"):
        run_workbench(make_job(tmp_path, 4), tmp_path / "fiftyone")


def test_mongod__refuses_a_folder_in_use(tmp_path: Path) -> None:
    first = Mongod(tmp_path / "db")
    try:
        with pytest.raises(WorkbenchError, match="close other FiftyOne sessions"):
            Mongod(tmp_path / "db")
        assert [p.pid for p in databases(tmp_path)] == [first.pid]
    finally:
        first.stop()
    assert databases(tmp_path) == []
    Mongod(tmp_path / "db").stop()


def test_mongod__ends_with_its_parent(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.write(writing, str(Mongod(tmp_path / "db").pid).encode())
        os._exit(1)  # no clean-up of any kind
    os.waitpid(parent, 0)
    database = int(os.read(reading, 20))
    psutil.wait_procs([psutil.Process(database)] if psutil.pid_exists(database) else [], timeout=20)
    assert databases(tmp_path) == []


def test_workbench_job__round_trip_and_refusal(tmp_path: Path) -> None:
    job = make_job(tmp_path, 3)
    job.save(tmp_path / "job")
    again = WorkbenchJob.load(tmp_path / "job")
    assert tuple(again.samples) == tuple(replace(s, modes=list(s.modes), reasons=list(s.reasons)) for s in job.samples)
    assert (again.embeddings == job.embeddings).all()
    assert again.export == job.export
    with pytest.raises(WorkbenchError, match="3 samples and 2 embeddings"):
        replace(job, embeddings=job.embeddings[:2])


def test_environment__keeps_everything_below_home(tmp_path: Path) -> None:
    values = environment(tmp_path)
    assert values["FIFTYONE_DO_NOT_TRACK"] == "true"
    assert all(v.startswith(str(tmp_path)) for k, v in values.items() if k.endswith(("_DIR", "_PATH")))
