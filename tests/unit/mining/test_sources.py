import pytest

from streetvision_core.mining.sources import HEAD, OCR, SOURCES, VLM, logged_answers
from streetvision_core.models.evidence import classifier_evidence, detector_evidence, ocr_evidence, vlm_evidence
from streetvision_core.models.vlm import YesNo
from streetvision_core.types import Box, Verdict


def said(*evidence):
    return logged_answers(Verdict(0.7, evidence[-1].stage, False, evidence, "v", "certified", 0.1))


def test_logged_answers__each_stage_on_its_own():
    boxes = {"dense-lite2": (Box(0, 0, 5, 5, "cone", 0.7), Box(0, 0, 9, 9, "sign", 0.2)), "yolo12n": ()}
    answers = said(
        classifier_evidence(0.0, 0.1), detector_evidence(boxes, 100, 100, 0.1), ocr_evidence(["ROAD WORK AHEAD"], 0.1)
    )
    assert answers == {HEAD: 0.5, "dense-lite2": 0.7, "yolo12n": 0.0, OCR: 1.0}


@pytest.mark.parametrize(("text", "expected"), [(["END ROAD WORK"], None), (["BAKERY"], 0.0)])
def test_logged_answers__a_negated_sign_says_nothing(text, expected):
    answers = said(classifier_evidence(2.0, 0.1), ocr_evidence(text, 0.1))
    assert answers.get(OCR) == expected
    assert set(answers) - {OCR} == {HEAD}


@pytest.mark.parametrize(("p", "expected"), [(0.83, {HEAD: 0.5, VLM: 0.83}), (None, {HEAD: 0.5})])
def test_logged_answers__the_image_text_model_where_it_answered(p, expected):
    assert said(classifier_evidence(0.0, 0.1), vlm_evidence(YesNo(p, 0.9, "yes", ""), 0.1)) == expected
    assert VLM in SOURCES
