"""What notebooks import costs them little: tried in a fresh interpreter."""

import subprocess
import sys

import pytest

import streetvision_core.loop as loop

HEAVY = {
    "torch",
    "papermill",
    "matplotlib",
    "rich",
    "pydantic",
    "jupyter_client",
    "nbformat",
    "psutil",
    "bleach",
    "apprise",
}


def loaded(statement):
    code = f"{statement}\nimport sys\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_record__loads_nothing_heavy():
    assert loaded("from streetvision_core.loop import record, read_result; record({'a': 1})") == set()


def test_loaded__can_fail():
    assert "pydantic" in loaded("from streetvision_core.loop import run_pipeline")


def test_loop__has_what_it_lists_and_nothing_else():
    assert all(getattr(loop, name) is not None for name in loop.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        loop.nonsense  # noqa: B018
