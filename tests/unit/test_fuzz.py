"""A few hundred inputs per target of the fuzzer in `tests/perf`, and a proof that it can find something."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "perf" / "bench_fuzz.py"
SPEC = importlib.util.spec_from_file_location("bench_fuzz", PATH)
bench_fuzz = sys.modules[SPEC.name] = importlib.util.module_from_spec(SPEC)  # dataclasses look their module up
SPEC.loader.exec_module(bench_fuzz)


@pytest.mark.parametrize("name", sorted(bench_fuzz.targets()))
def test_fuzz__nothing_but_answers_and_named_errors(name):
    target = bench_fuzz.targets()[name]
    found = bench_fuzz.fuzz(target, seed=1, most=400)
    assert found.findings == []
    assert found.inputs == 400
    assert len(found.outcomes) >= 2
    assert {target.run(seed) for seed in target.seeds} <= {"read", "decoded"}


def test_fuzz__finds_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_fuzz, "FINDINGS", tmp_path)

    def fragile(data):
        return str(data[40])

    found = bench_fuzz.fuzz(bench_fuzz.Target([bytes(41)], fragile), seed=0, most=200)
    assert found.findings
    assert all("IndexError" in finding for finding in found.findings)
