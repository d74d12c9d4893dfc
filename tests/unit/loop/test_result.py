import datetime as dt
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.errors import ResultError
from streetvision_core.loop.plain import plain
from streetvision_core.loop.result import MIME, as_html, read_result, record


class Colour(StrEnum):
    RED = "red"


@dataclass
class HasToDict:
    n: int

    def to_dict(self):
        return {"n": np.int64(self.n)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.str_("a"), "a"),
        ((1, 2), [1, 2]),
        ({"b", "a"}, ["a", "b"]),
        (Colour.RED, "red"),
        (dt.date(2026, 11, 23), "2026-11-23"),
        (dt.datetime(2026, 11, 23, 4, tzinfo=dt.UTC), "2026-11-23T04:00:00+00:00"),
        (Path("a/b"), "a/b"),
        (HasToDict(2), {"n": 2}),
        (None, None),
        (True, True),
    ],
)
def test_plain__converts(value, expected):
    converted = plain(value)
    assert converted == expected
    assert type(converted) is type(expected)
    json.dumps(converted, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1.0, float("nan")]}, "result['a'][1] = nan"),
        ({"a": {"b": np.float32("inf")}}, "result['a']['b'] = inf"),
        ({"m": np.array([0.0, np.nan])}, "result['m'][1] = nan"),
        ({1: 2}, "the key 1 (int) in result"),
        ({"x": object()}, "result['x'] of type object"),
        ({"x": b"raw"}, "result['x'] of type bytes"),
    ],
)
def test_plain__names_the_key_at_fault(value, where):
    with pytest.raises(ResultError, match="got ") as caught:
        plain(value)
    assert where in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values))
def test_plain__leaves_json_as_it_is(value):
    assert json.loads(json.dumps(plain(value))) == value


@pytest.mark.parametrize(("value", "word"), [([1], "list"), ({"big": "x" * 9_000_000}, "MiB")])
def test_record__refuses(value, word):
    with pytest.raises(ResultError, match=word):
        record(value)


def test_record__outside_a_kernel_only_checks():
    assert record({"mcc": np.float64(0.5)}) is None


def test_as_html__escapes():
    shown = as_html({"<script>alert(1)</script>": "<img src=x onerror=alert(2)>", "long": "y" * 500})
    assert "<script" not in shown
    assert "<img" not in shown
    assert len(shown) < 900


def executed(*results):
    outputs = [{"output_type": "display_data", "metadata": {}, "data": {MIME: result}} for result in results]
    return {"cells": [{"cell_type": "markdown", "source": ""}, {"cell_type": "code", "source": "", "outputs": outputs}]}


def test_read_result__reads_the_one(tmp_path):
    (tmp_path / "a.ipynb").write_text(json.dumps(executed({"a": 1})))
    assert read_result(tmp_path / "a.ipynb") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(executed()), "0 recorded results in a.ipynb"),
        (json.dumps(executed({"a": 1}, {"b": 2})), "2 recorded results in a.ipynb"),
        ("{torn", "a.ipynb: "),
        (None, "a.ipynb: "),
    ],
)
def test_read_result__refuses(tmp_path, text, message):
    if text is not None:
        (tmp_path / "a.ipynb").write_text(text)
    with pytest.raises(ResultError, match=message):
        read_result(tmp_path / "a.ipynb")
