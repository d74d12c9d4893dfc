import json

import pytest

from streetvision_core.errors import DataError
from streetvision_core.ops.numbers import fill, main

BLOCK = "before\n<!-- numbers:scenes -->\n<!-- /numbers:scenes -->\nafter\n"


def test_fill__writes_the_result_and_is_idempotent(tmp_path):
    (tmp_path / "scenes.json").write_text(json.dumps({"fps": 21}))
    once = fill(BLOCK, tmp_path)
    assert '"fps": 21' in once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert fill(once, tmp_path) == once


def test_fill__follows_a_new_result(tmp_path):
    (tmp_path / "scenes.json").write_text(json.dumps({"fps": 21}))
    once = fill(BLOCK, tmp_path)
    (tmp_path / "scenes.json").write_text(json.dumps({"fps": 22}))
    twice = fill(once, tmp_path)
    assert '"fps": 22' in twice
    assert '"fps": 21' not in twice


@pytest.mark.parametrize("name", ["scenes", "nonsense"])
def test_fill__a_missing_result_or_block_is_named(tmp_path, name):
    with pytest.raises(DataError, match=name):
        fill(f"<!-- numbers:{name} -->\n<!-- /numbers:{name} -->", tmp_path)


def test_fill__the_loop_may_not_be_measured_yet(tmp_path):
    assert "Not measured yet: `streetvision daily" in fill("<!-- numbers:loop -->\n<!-- /numbers:loop -->", tmp_path)


def test_documents__are_up_to_date():
    assert main(["--check"]) == 0


def spread(mean):
    return {"mean": mean, "deviation": None if mean is None else 0.01}


def cell(origin, era, policy="certified", mcc=0.8):
    metrics = {"mcc": spread(mcc), "auc": spread(0.9), "recall": spread(0.7), "false_alarm_rate": spread(0.05)}
    return {"policy": policy, "origin": origin, "era": era, "n": 10, "positives": 4, "metrics": metrics}


def test_real__the_baseline_stands_beside_native_photos(tmp_path):
    cells = [cell("all", "native"), cell("all", "crop-224", mcc=0.6), cell("all", "all"), cell("all", "native", "plan")]
    made = {"made": {"photos": 10}, "folds": 5, "shuffles": 3, "cells": cells}
    unseen = {"cells": [cell("CamVid", "native", mcc=None)]}
    (tmp_path / "real.json").write_text(json.dumps(made | {"unseen_origins": unseen}))
    (tmp_path / "baseline.json").write_text(json.dumps({"source": "x", "all": {"mcc": 0.738, "auc": 0.91}}))
    text = fill("<!-- numbers:real -->\n<!-- /numbers:real -->", tmp_path)
    rows = [line for line in text.splitlines() if line.startswith(("| all", "| CamVid"))]
    assert rows == [
        "| all (10, 4 with road work) | native | 0.800 ± 0.010 | 0.900 ± 0.010 | 0.700 ± 0.010 | 0.050 ± 0.010 "
        "| MCC 0.738, AUC 0.91 |",
        "| all (10, 4 with road work) | crop-224 | 0.600 ± 0.010 | 0.900 ± 0.010 | 0.700 ± 0.010 | 0.050 ± 0.010 | – |",
        "| CamVid (10, 4 with road work) | native | – | 0.900 ± 0.010 | 0.700 ± 0.010 | 0.050 ± 0.010 | – |",
    ]
    assert "answered by what learned from the other origins alone" in text
