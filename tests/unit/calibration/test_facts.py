import json

import pytest

from streetvision_core.calibration.facts import CalibrationFacts, Share, shares
from streetvision_core.errors import CalibrationMismatchError

PAIR = ("dense-lite2@1", "yolo12n@1")


def facts(**changed):
    made = {"backbone": "b", "preprocessing": "p/1", "detectors": PAIR, "world": "real", "prevalence": 0.5}
    return CalibrationFacts(
        **{**made, "rule": "mcc", "origins": {"clips": Share(15, 2), "stills": Share(38, 33)}, **changed}
    )


def test_facts__json_round_trip_and_sums():
    made = facts()
    assert CalibrationFacts.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert (made.rows, made.groups) == (53, 35)
    assert facts(detectors=None, origins={"clips": Share(15, None)}).groups is None


def test_shares__counts_rows_and_groups_by_origin():
    assert shares(["b", "a", "a"], ["g1", "g2", "g2"]) == {"a": Share(2, 1), "b": Share(1, 1)}


@pytest.mark.parametrize("detectors", [PAIR[:1], PAIR[::-1], ("dense-lite2@2", "yolo12n@1"), (*PAIR, "third@1"), ()])
def test_check_detectors__refuses_any_others(detectors):
    """Another pair, another order (columns belong to places), another version, one more or none."""
    facts().check_detectors(PAIR)
    with pytest.raises(CalibrationMismatchError, match="streetvision calibrate") as error:
        facts().check_detectors(detectors)
    assert error.value.data == {"detectors": list(detectors), "made_with": list(PAIR)}


def test_check_detectors__checks_nothing_where_nobody_wrote_them_down():
    facts(detectors=None).check_detectors(("any@1",))
