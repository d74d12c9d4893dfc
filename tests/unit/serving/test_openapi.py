import json

import pytest
from jsonschema import Draft202012Validator

from streetvision_core.serving.protocols.openapi import describe, example


def validator(name):
    document = describe()
    return Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})


def test_describe__is_openapi():
    models = pytest.importorskip("fastapi.openapi.models")
    document = models.OpenAPI.model_validate(describe())
    assert set(document.paths) == {"/v1/predict", "/v1/predict/video", "/health/live", "/health/ready", "/metrics"}


def test_describe__is_json():
    assert json.loads(json.dumps(describe(), allow_nan=False)) == describe()


@pytest.mark.parametrize("evidence", [False, True])
def test_example__is_valid_by_our_own_schema(evidence):
    assert list(validator("Verdict").iter_errors(example(evidence=evidence))) == []


def test_schema__can_fail():
    assert list(validator("Verdict").iter_errors({**example(), "p_roadwork": 2}))
    assert list(validator("Error").iter_errors({"error": "X"}))


def test_describe__every_example_is_valid():
    answers = describe()["paths"]["/v1/predict"]["post"]["responses"]
    for status, answer in answers.items():
        content = answer["content"]["application/json"]
        for named in content.get("examples", {}).values():
            name = "Error" if status != "200" else "Results" if "results" in named["value"] else "Verdict"
            assert list(validator(name).iter_errors(named["value"])) == []
