import json

import pytest

from streetvision_core.errors import DataError
from streetvision_core.ops.numbers import fill, main

BLOCK = "before\n<!-- numbers:loop -->\n<!-- /numbers:loop -->\nafter\n"


def loop(frames):
    rate = {"value": 0.5, "low": 0.4, "high": 0.6}
    day = {"day": "2026-11-20", "outcome": "kept", "mcc_rendered": rate, "mcc_real": None, "training_frames": frames}
    start = {"mcc_rendered": rate, "mcc_real": rate, "training_frames": 0}
    return json.dumps({"start": start, "days": [day]})


def test_fill__writes_the_result_and_is_idempotent(tmp_path):
    (tmp_path / "loop.json").write_text(loop(21))
    once = fill(BLOCK, tmp_path)
    assert "| 2026-11-20 | kept | 0.500 [0.400, 0.600] | – | 21 |" in once
    assert "| before | – | 0.500 [0.400, 0.600] | 0.500 [0.400, 0.600] | 0 |" in once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert fill(once, tmp_path) == once


def test_fill__follows_a_new_result(tmp_path):
    (tmp_path / "loop.json").write_text(loop(21))
    once = fill(BLOCK, tmp_path)
    (tmp_path / "loop.json").write_text(loop(22))
    twice = fill(once, tmp_path)
    assert "| 22 |" in twice
    assert "| 21 |" not in twice


@pytest.mark.parametrize("name", ["real", "nonsense"])
def test_fill__a_missing_result_or_block_is_named(tmp_path, name):
    with pytest.raises(DataError, match=name):
        fill(f"<!-- numbers:{name} -->\n<!-- /numbers:{name} -->", tmp_path)


def test_server__budget_ratio_and_losses_stand_in_the_table(tmp_path):
    added = {"http": 0.0004, "sn72": 0.0008, "axon": 0.0096}
    axon = {"http_requests_per_core_second": 2709.8, "sn72_requests_per_core_second": 1428, "ratio": 8.7}
    axon |= {"axon_requests_per_core_second": 164, "added_p99_seconds": added}
    axon |= {"allowed_requests_per_core_second": 1500, "allowed_added_p99_seconds": 0.005}
    load = [{"requests_per_second": 3.0}, {"requests_per_second": 3.5}]
    sides = {"gateway": {"growth_percent": 2.05}, "models": {"growth_percent": 0.0}}
    files = {
        "axon": axon,
        "end_to_end": {"connections": {"16": {"ours": load, "plain": load[:1], "ratio": 1.22}}},
        "memory": {"requests": 100000, **sides},
        "soak": {"kills": 12, "seconds": 60.1, "answered": 4627, "lost": 0, "wrong": 0},
    }
    for name, result in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    text = fill("<!-- numbers:server -->\n<!-- /numbers:server -->", tmp_path)
    assert "2,710 requests/s and core, 0.4 ms added at p99 | budget: 1,500 and 5 ms" in text
    assert "164 requests/s, 9.6 ms; 8.7 times" in text
    assert "16 connections | 3.5 requests/s | plain FastAPI loop: 3.0; 1.22 times" in text
    assert "gateway +2.0 %, models +0.0 %" in text
    assert "4,627 answered, 0 lost, 0 wrong" in text


def test_engine__steps_sums_budgets_and_the_workbenchs_ratio(tmp_path):
    engine = {"samples": 10000, "seconds_per_10000": {"select": 0.52, "queue": 0.04}, "total_seconds": 0.56}
    engine |= {"allowed_seconds": 300.0, "pool": 1000000, "pool_seconds": {"score": 1.66}, "pool_total_seconds": 1.66}
    engine |= {"pool_allowed_seconds": 120.0, "cores": 2, "load_average": 1.2}
    apart = {"hardness": 5.6e-16, "mistakenness": 2.8e-16}
    seconds = {"seconds_ours": [1.3, 0.8], "seconds_fiftyone": [27.6, 27.1]}
    workbench = {"samples": 2000, "ratio": 25.9, "largest_difference": apart, **seconds}
    for name, result in {"engine": engine, "workbench": workbench}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    text = fill("<!-- numbers:engine -->\n<!-- /numbers:engine -->", tmp_path)
    assert "| 10,000 samples, select | 0.5 s | |" in text
    assert "queue" not in text
    assert "| 10,000: all steps | **0.6 s** | budget: 300 s |" in text
    assert "| 1,000,000: both | **1.7 s** | budget: 120 s |" in text
    assert "2,000 samples at once | 0.8 s | FiftyOne, sample by sample: 27.1 s; 26 times, values at most 6e-16" in text


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
