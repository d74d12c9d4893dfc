import json

import numpy as np
import pytest

from streetvision_core.data.challenge_set import (
    ChallengeImage,
    ChallengeSet,
    TrainedGroups,
    choose,
    load_challenge_set,
)
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError, LeakError, ManifestError


def image(number, label=0, modes=(), group=None):
    return ChallengeImage(f"i{number}", label, group or f"g{number}", "natix", "native", tuple(modes), f"{number}.jpg")


def rows(names, groups, features):
    return FeatureTable.build(np.array(features), backbone="b", preprocessing="p/1", ids=names, groups=groups)


@pytest.fixture
def small():
    return ChallengeSet((image(0, 1, ("night",)), image(1), image(2, 1, ("night", "fog"))))


def test_save__comes_back_and_is_never_overwritten_by_another(small, tmp_path):
    small.save(tmp_path)
    small.save(tmp_path)
    assert load_challenge_set(tmp_path) == small
    with pytest.raises(DataError, match="another challenge set"):
        ChallengeSet(small.images[:2]).save(tmp_path)


@pytest.mark.parametrize("change", [("label", 0), ("group", "other"), ("modes", [])])
def test_load__a_changed_set_is_refused(small, tmp_path, change):
    small.save(tmp_path)
    data = json.loads((tmp_path / "set.json").read_text())
    data["images"][0][change[0]] = change[1]
    (tmp_path / "set.json").write_text(json.dumps(data))
    with pytest.raises(ManifestError, match=r"set\.json"):
        load_challenge_set(tmp_path)


def test_load__no_set_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match="data notebook"):
        load_challenge_set(tmp_path)


def test_parts__by_origin_and_failure_mode(small):
    assert small.counts() == {"all": 3, "natix": 3, "night": 2, "fog": 1}


def test_check_disjoint__remembers_a_group_whose_files_are_gone(small, tmp_path):
    TrainedGroups(tmp_path / "taught.txt").add(["elsewhere", "g1"])
    again = TrainedGroups(tmp_path / "taught.txt")
    assert len(again) == 2
    with pytest.raises(LeakError, match="g1") as caught:
        small.check_disjoint(again, None, None)
    assert caught.value.data["groups"] == ["g1"]


def test_check_disjoint__a_near_duplicate_in_another_group_is_a_leak(small, tmp_path):
    trained = TrainedGroups(tmp_path / "taught.txt")
    ours = rows(["i0", "i1", "i2"], ["g0", "g1", "g2"], np.eye(3))
    teaching = rows(["a", "b"], ["x", "y"], [[1.0, 1, 1], [0.02, 1, 0]])
    small.check_disjoint(trained, teaching.select([0]), ours)
    with pytest.raises(LeakError, match="training row b and challenge image i1"):
        small.check_disjoint(trained, teaching, ours)


def test_choose__rare_modes_are_taken_first_and_groups_spread():
    plain = [image(i, i % 2, group=f"drive{i // 10}") for i in range(400)]
    rare = [image(1000 + i, i % 2, ("night",)) for i in range(12)]
    chosen = choose([*plain, *rare], 40, seed=3)
    assert len(chosen) == 40
    assert chosen.counts()["night"] == 12
    labels = [one.label for one in chosen.images]
    assert abs(sum(labels) - 20) <= 1
    assert len(chosen.groups) == 40
    assert choose([*plain, *rare], 40, seed=3) == chosen
    assert len(choose(plain[:5], 40)) == 5
