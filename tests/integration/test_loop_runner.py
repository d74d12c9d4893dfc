"""Steps with real kernels, each on a tiny notebook that provokes one thing."""

import datetime as dt
import json
import os
import time
from pathlib import Path

import psutil
import pytest

from streetvision_core.errors import LoopStoppedError, ParameterError, StepFailedError
from streetvision_core.loop import fingerprint
from streetvision_core.loop.pipeline import Pipeline, run_pipeline
from streetvision_core.loop.progress import LogProgress
from streetvision_core.loop.result import read_result
from streetvision_core.loop.runner import RunContext, run_step
from streetvision_core.loop.signals import Stop
from streetvision_core.loop.state import RunState
from streetvision_core.loop.steps import Step
from streetvision_core.loop.workspace import Workspace
from streetvision_core.settings import load_settings

FIXTURES = Path(__file__).parents[1] / "notebooks" / "fixtures"
DAY = dt.date(2026, 11, 23)
GOOD = {"DAY": str, "COUNT": int, "LABEL": str}


@pytest.fixture(autouse=True)
def fixed_package(monkeypatch):
    """The checkout may be edited while the tests run; `test_fingerprint.py` covers the real digest."""
    monkeypatch.setattr(fingerprint, "package_sha256", lambda _folder: "fixed")


@pytest.fixture
def settings(tmp_path):
    base = load_settings("embedded")
    return base.model_copy(update={"paths": base.paths.model_copy(update={"home": tmp_path})})


@pytest.fixture
def context(settings):
    state = RunState(Workspace.of(settings).run_file(DAY), "daily", DAY)
    return RunContext(settings, DAY, FIXTURES, state)


def good(**more):
    return Step("good", "good.ipynb", "Good", GOOD, **more)


VALUES = {"DAY": "2026-11-23", "COUNT": 3, "LABEL": "a"}


def test_run_step__runs_skips_and_runs_again_when_something_changed(context, tmp_path):
    (tmp_path / "in.txt").write_text("1")
    step = good(inputs=("{home}/in.txt",), outputs=("{home}/ran-a.txt",))
    cells = []
    done = run_step(step, VALUES, context, on_cell=lambda number, total: cells.append((number, total)))
    assert (done.status, done.attempts, done.result) == ("done", 1, {"day": "2026-11-23", "count": 3, "label": "a"})
    assert cells[-1] == (5, 5)
    folder = Workspace.of(context.settings).report_folder(DAY)
    assert read_result(folder / done.notebook) == done.result
    assert "the day is 2026-11-23" in (folder / done.html).read_text()
    assert str(tmp_path) not in (folder / done.notebook).read_text()
    assert sorted(p.name for p in (folder / "steps").iterdir()) == ["good.html", "good.ipynb"]

    fresh = RunContext(context.settings, DAY, FIXTURES, RunState(context.state.path, "daily", DAY))
    skipped = run_step(step, VALUES, fresh)
    assert (skipped.status, skipped.note, skipped.result) == ("skipped", "unchanged, skipped", done.result)
    assert ran(tmp_path) == 1

    (tmp_path / "in.txt").write_text("22")
    assert run_step(step, VALUES, fresh).status == "done"
    (tmp_path / "ran-a.txt").unlink()
    assert run_step(step, VALUES, fresh).status == "done"
    assert ran(tmp_path) == 1
    assert run_step(step, VALUES, fresh, force=True).status == "done"
    assert ran(tmp_path) == 2


def gone(pid):
    """Nobody may have reaped it, but it runs no more."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def ran(folder, label="a"):
    path = folder / f"ran-{label}.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize(
    ("notebook", "message", "on_page"),
    [
        ("raises", r"ValueError: <b>the frame</b> is broken in In \[3\]", "&lt;b&gt;the frame&lt;/b&gt; is broken"),
        ("exits", r"SystemExit\(0\) in In \[2\]", "SystemExit"),
        ("forgets", "0 recorded results in forgets.ipynb", "0 recorded results"),
        ("records_twice", "2 recorded results in records_twice.ipynb", "2 recorded results"),
        ("records_nan", r"result\['scores'\]\['mcc'\] = nan", "ResultError"),
        ("dies", "a dead kernel in cell 3", "before"),
    ],
)
def test_run_step__failure_is_named_and_keeps_notebook_and_page(context, notebook, message, on_page):
    with pytest.raises(StepFailedError, match=message) as caught:
        run_step(Step("bad", f"{notebook}.ipynb", "Bad"), {}, context)
    assert "do: " in str(caught.value)
    result = RunState(context.state.path, "daily", DAY).get("bad")
    assert (result.status, result.attempts, result.error["error"]) == ("failed", 1, "StepFailedError")
    folder = Workspace.of(context.settings).report_folder(DAY)
    assert json.loads((folder / result.notebook).read_text())["cells"]
    page = (folder / result.html).read_text()
    assert "This step did not end well" in page
    assert on_page in page


@pytest.mark.parametrize(
    ("notebook", "schema", "values", "message"),
    [
        ("good", {"DAY": str, "BUDGET": int}, {"DAY": "a", "BUDGET": 1}, "the notebook lacks: BUDGET"),
        ("good", {"DAY": str}, {"DAY": "a", "DYA": "b"}, "unknown parameters DYA"),
    ],
)
def test_run_step__parameters_are_checked_before_a_kernel_starts(context, notebook, schema, values, message, tmp_path):
    with pytest.raises(ParameterError, match=message):
        run_step(Step("p", f"{notebook}.ipynb", "P", schema), values, context)
    assert RunState(context.state.path, "daily", DAY).get("p").status == "failed"
    assert not (tmp_path / "reports").exists()


def test_run_step__a_notebook_without_a_parameters_cell_is_named(context, tmp_path):
    notebook = json.loads((FIXTURES / "good.ipynb").read_text())
    for cell in notebook["cells"]:
        cell["metadata"].pop("tags", None)
    (tmp_path / "untagged.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(ParameterError, match="0 cells tagged 'parameters'"):
        run_step(
            Step("p", "untagged.ipynb", "P", GOOD), VALUES, RunContext(context.settings, DAY, tmp_path, context.state)
        )
    assert context.state.get("p").status == "failed"
    assert not (tmp_path / "reports").exists()


def test_run_step__time_limit_ends_kernel_and_detached_children(context, tmp_path):
    began = time.monotonic()
    with pytest.raises(StepFailedError, match=r"not done after 10 s \(cell 4\)"):
        run_step(Step("slow", "sleeps.ipynb", "Slow", timeout_seconds=10), {}, context)
    assert time.monotonic() - began < 40
    assert gone(int((tmp_path / "child.pid").read_text()))
    result = context.state.get("slow")
    assert (result.status, result.html) == ("failed", "steps/slow.html")


def test_run_step__a_stop_ends_the_kernel_and_saves(context, tmp_path):
    stop = Stop()
    stopping = RunContext(context.settings, DAY, FIXTURES, context.state, stop)

    def on_cell(number, _total):
        if number == 4:
            stop.request(15)

    with pytest.raises(LoopStoppedError, match="a signal in step 'slow'"):
        run_step(Step("slow", "sleeps.ipynb", "Slow"), {}, stopping, on_cell=on_cell)
    assert gone(int((tmp_path / "child.pid").read_text()))
    assert RunState(context.state.path, "daily", DAY).get("slow").status == "stopped"


@pytest.mark.parametrize(("retries", "limit", "attempts"), [(1, 1, 2), (0, 1, 1), (3, 0, 1)])
def test_run_step__repeats_only_where_the_step_says_it_is_safe(context, tmp_path, retries, limit, attempts):
    settings = context.settings.model_copy(update={"loop": context.settings.loop.model_copy(update={"retries": limit})})
    context = RunContext(settings, DAY, FIXTURES, context.state)
    step = Step("flaky", "flaky.ipynb", "Flaky", {"DAY": str}, retries=retries)
    if attempts == 2:
        assert run_step(step, {"DAY": "2026-11-23"}, context).attempts == 2
    else:
        with pytest.raises(StepFailedError, match="ConnectionError: the first attempt"):
            run_step(step, {"DAY": "2026-11-23"}, context)
        assert context.state.get("flaky").attempts == 1


def test_run_step__needs_no_kernelspec_no_home_and_gives_its_settings(context, tmp_path, monkeypatch):
    read_only = tmp_path / "no-home"
    monkeypatch.setenv("HOME", str(read_only))
    monkeypatch.setenv("JUPYTER_PATH", str(read_only))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("SV_SEED", "99")
    result = run_step(
        Step("settings", "settings.ipynb", "Settings", {"PROFILE": str}), {"PROFILE": "embedded"}, context
    )
    assert result.result["settings"] == context.settings.model_dump(mode="json")
    shown = run_step(Step("shows", "shows.ipynb", "Shows"), {}, context)
    page = (Workspace.of(context.settings).report_folder(DAY) / shown.html).read_text()
    assert "data:image/png;base64," in page
    assert "<script" not in page
    assert "evil" not in page
    assert 'src="http' not in page


class Record(LogProgress):
    def __init__(self):
        self.events = []

    def step_began(self, step):
        self.events.append(("began", step.name))

    def step_ended(self, result):
        self.events.append((result.status, result.name))


@pytest.mark.slow
def test_run_pipeline__a_failure_stops_those_that_need_it_and_no_others(settings):
    def step(name, notebook="good", *needs, **more):
        schema = GOOD if notebook == "good" else {}
        return Step(name, f"{notebook}.ipynb", name.title(), schema, needs, **more)

    steps = (
        step("first"),
        step("bad", "raises", "first"),
        step("depends", "good", "bad"),
        step("depends-too", "good", "depends"),
        step("other", "good", "first"),
        step("review", after=("bad", "other")),
    )
    progress = Record()
    given = {"COUNT": 1, "LABEL": "a"}
    result = run_pipeline(Pipeline("daily", FIXTURES, steps), DAY, settings, progress, parameters=given)
    assert [(s.name, s.status) for s in result.steps] == [
        ("first", "done"),
        ("bad", "failed"),
        ("depends", "blocked"),
        ("depends-too", "blocked"),
        ("other", "done"),
        ("review", "done"),
    ]
    assert result.exit_code == 1
    assert result.results()["first"]["day"] == "2026-11-23"
    assert ("began", "depends") not in progress.events
    assert Workspace.of(settings).list_runs() == [DAY]

    mended = [step("bad", "good", "first") if s.name == "bad" else s for s in steps]
    again = run_pipeline(Pipeline("daily", FIXTURES, tuple(mended)), DAY, settings, progress, parameters=given)
    assert [s.status for s in again.steps] == ["skipped", "done", "done", "done", "skipped", "done"]
    assert again.exit_code == 0


def test_run_step__leaves_no_processes(context):
    before = {p.pid for p in psutil.Process(os.getpid()).children(recursive=True)}
    run_step(good(), VALUES, context)
    assert {p.pid for p in psutil.Process(os.getpid()).children(recursive=True)} <= before
