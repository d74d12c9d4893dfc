from dataclasses import replace

import pytest

from streetvision_core.errors import LoopError, ParameterError
from streetvision_core.loop.pipeline import Pipeline, run_pipeline
from streetvision_core.loop.runner import result_digest
from streetvision_core.loop.steps import Step, StepResult

from .conftest import DAY, FIXTURES


def step(name, *needs, **more):
    return Step(name, "good.ipynb", name.title(), needs=needs, **more)


def test_ordered__respects_needs_and_keeps_the_rest():
    steps = (step("d", "b"), step("a"), step("b", "a"), step("c"))
    order = [s.name for s in Pipeline("p", FIXTURES, steps).ordered()]
    assert order.index("a") < order.index("b") < order.index("d")
    assert sorted(order) == ["a", "b", "c", "d"]


def test_ordered__a_step_without_needs_keeps_its_place():
    steps = (step("setup"), step("data", "setup"), step("train", "data"), step("review"))
    assert [s.name for s in Pipeline("p", FIXTURES, steps).ordered()] == ["setup", "data", "train", "review"]


def test_ordered__after_goes_after():
    steps = (step("review", after=("train",)), step("train"))
    assert [s.name for s in Pipeline("p", FIXTURES, steps).ordered()] == ["train", "review"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((step("a", after=("y",)),), r"unknown needs: \['y'\]"),
        ((step("a"), step("a")), r"twice: \['a'\]"),
        ((step("a", "z"),), r"unknown needs: \['z'\]"),
        ((step("a", "b"), step("b", "a")), "a circle of needs"),
        ((step("a", "a"),), "a circle of needs"),
    ],
)
def test_pipeline__refuses(steps, message):
    with pytest.raises(LoopError, match=message):
        Pipeline("p", FIXTURES, steps)


@pytest.mark.parametrize(
    ("name", "notebook"), [("A", "a.ipynb"), ("../x", "a.ipynb"), ("", "a.ipynb"), ("a", "x/a.ipynb"), ("a", "a.py")]
)
def test_step__refuses_names(name, notebook):
    with pytest.raises(LoopError):
        Step(name, notebook, "t")


@pytest.mark.parametrize(
    ("schema", "given", "message"),
    [
        ({"DAY": str}, {"DYA": 1}, r"unknown parameters \['DYA'\]"),
        ({"BUDGET": int}, {}, r"no value for \['BUDGET'\]"),
    ],
)
def test_run_pipeline__checks_names_before_anything_runs(settings, schema, given, message, tmp_path):
    pipeline = Pipeline("p", FIXTURES, (step("a", parameters=schema),))
    with pytest.raises(ParameterError, match=message):
        run_pipeline(pipeline, DAY, settings, parameters=given)
    assert list(tmp_path.iterdir()) == []


def test_run_pipeline__refuses_a_day_that_is_none(settings):
    with pytest.raises(LoopError, match="YYYY-MM-DD"):
        run_pipeline(Pipeline("p", FIXTURES, (step("a"),)), "yesterday", settings)


def test_run_pipeline__missing_notebook_fails_the_step_only(settings):
    steps = (Step("a", "absent.ipynb", "A"), Step("b", "absent.ipynb", "B", needs=("a",)))
    result = run_pipeline(Pipeline("p", FIXTURES, steps), DAY, settings)
    assert [(s.name, s.status) for s in result.steps] == [("a", "failed"), ("b", "blocked")]
    assert "absent.ipynb: No such file" in result.steps[0].note
    assert result.exit_code == 1


def test_result_digest__same_for_done_and_skipped_other_for_failed():
    done = StepResult("a", "A", "done", fingerprint="f", result={"n": 1})
    assert result_digest(replace(done, status="skipped", note="unchanged")) == result_digest(done)
    assert result_digest(replace(done, status="failed", note="x")) != result_digest(done)
    assert result_digest(replace(done, result={"n": 2})) != result_digest(done)
