"""FiftyOne for real: its database, Brain runs and exports, and what happens where it cannot run."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from streetvision_core.errors import WorkbenchError
from streetvision_core.mining._mongod import Mongod
from streetvision_core.mining.workbench import (
    WorkbenchJob,
    WorkbenchResult,
    WorkbenchSample,
    environment,
    open_in_app_command,
    run_workbench,
)
from streetvision_core.types import Box, Evidence, Verdict

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
        result = run_workbench(make_job(folder), folder / "fiftyone", timeout_seconds=120)
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
        "all", "mined", "hardest", "wrong", "near-duplicates", "leaks"
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
def test_run_workbench__leaves_nothing_and_connects_nowhere(day: tuple[WorkbenchResult, Path]) -> None:
    _, folder = day
    assert databases(folder) == []
    seen = (folder / "connections.txt").read_text().splitlines()
    assert any("mongod.sock" in line for line in seen), "the audit must see at least the database"
    assert [line for line in seen if "mongod.sock" not in line] == []
    assert [p for p in (folder / "user").rglob("*") if p.is_file()] == []


@pytest.mark.slow
def test_run_workbench__second_run_replaces_the_day(day: tuple[WorkbenchResult, Path]) -> None:
    first, folder = day
    job = make_job(folder)
    other = [replace(s, day="2026-03-02", split="", reasons=()) for s in job.samples[:3]]
    next_day = WorkbenchJob("streets", "2026-03-02", other, job.embeddings[2:5])
    second = run_workbench(next_day, folder / "fiftyone", timeout_seconds=120)
    assert (second.samples, second.total, second.near_duplicates, second.leaks) == (3, N + 3, 0, None)
    assert len(second.notes) == 3, "no leaks, no uniqueness, no export, each with its reason"
    assert len(second.hardest) == 3
    assert databases(folder) == []
    assert first.exports  # the first day's export is untouched
    assert all(Path(path).is_dir() for path in first.exports.values())


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
    assert open_in_app_command(tmp_path, "streets").endswith("fiftyone app launch streets")
