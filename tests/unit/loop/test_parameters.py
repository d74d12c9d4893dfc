import pytest

from streetvision_core.errors import ParameterError
from streetvision_core.loop.parameters import check_parameters, parameter_names
from streetvision_core.loop.steps import Step


def notebook(*parameter_cells, kind="code"):
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "# Title"}]
    cells += [{"cell_type": kind, "metadata": {"tags": ["parameters"]}, "source": text} for text in parameter_cells]
    return {"cells": cells}


NOTEBOOK = notebook(
    'DAY = "2026-01-01"  # the day\nCOUNT: int = 1  # how many\nRATE = 0.5  # share\nFLAG = False  # on or off'
)


def step(**parameters):
    return Step("train", "05_train.ipynb", "Train", parameters)


@pytest.mark.parametrize(
    ("schema", "values", "expected"),
    [
        ({}, {}, {}),
        ({"DAY": str}, {"DAY": "2026-11-23"}, {"DAY": "2026-11-23"}),
        ({"RATE": float}, {"RATE": 1}, {"RATE": 1}),
        ({"COUNT": int | None}, {"COUNT": None}, {"COUNT": None}),
        ({"FLAG": bool}, {"FLAG": True}, {"FLAG": True}),
    ],
)
def test_check_parameters__accepts(schema, values, expected):
    assert check_parameters(step(**schema), NOTEBOOK, values) == expected


@pytest.mark.parametrize(
    ("schema", "values", "message"),
    [
        ({"DAY": str}, {"DAY": "a", "DYA": "b"}, "unknown parameters DYA"),
        ({"DAY": str}, {}, "no value for DAY"),
        ({"DAY": str, "BUDGET": int}, {"DAY": "a", "BUDGET": 1}, "parameters that the notebook lacks: BUDGET"),
        ({"COUNT": int}, {"COUNT": "3"}, r"COUNT = '3' \(str\)"),
        ({"COUNT": int}, {"COUNT": True}, r"COUNT = True \(bool\)"),
        ({"FLAG": bool}, {"FLAG": 1}, r"FLAG = 1 \(int\)"),
        ({"RATE": float}, {"RATE": None}, r"RATE = None"),
    ],
)
def test_check_parameters__refuses(schema, values, message):
    with pytest.raises(ParameterError, match=message) as caught:
        check_parameters(step(**schema), NOTEBOOK, values)
    assert "allowed:" in str(caught.value)
    assert caught.value.data["step"] == "train"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (notebook(), "0 cells tagged 'parameters'"),
        (notebook("A = 1", "B = 2"), "2 cells tagged 'parameters'"),
        (notebook("A = 1", kind="markdown"), "1 cells tagged 'parameters'"),
        (notebook("A = = 1"), "invalid syntax in line 1"),
    ],
)
def test_parameter_names__refuses(content, message):
    with pytest.raises(ParameterError, match=message):
        parameter_names(content, "x.ipynb")


def test_parameter_names__reads_assignments_only():
    text = "from pathlib import Path\nA = B = 1\nC: str = 'x'\nprint(A)\nd.e = 3"
    assert parameter_names(notebook(text), "x.ipynb") == ["A", "B", "C"]
