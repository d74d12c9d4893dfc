from dataclasses import replace

import numpy as np
import pytest

from streetvision_core.data.table import OLD_ERA_WEIGHT, FeatureTable
from streetvision_core.mining.balance import balance_stream, hard_weights
from streetvision_core.settings import BalanceSettings
from streetvision_core.types import Split


def table(n, groups, weights=None, labels=None, name="s", split=Split.TRAIN):
    return FeatureTable.build(
        np.ones((n, 2)),
        backbone="b",
        preprocessing="p/1",
        ids=[f"{name}{i}" for i in range(n)],
        groups=groups,
        labels=labels if labels is not None else [i % 2 for i in range(n)],
        weights=weights,
        splits=[split] * n,
    )


BASE = table(10, [f"photo{i}" for i in range(10)], name="base")


def test_balance_stream__thirty_days_weigh_no_more_than_their_share():
    settings = BalanceSettings(stream_share=0.5)
    days = [table(50, [f"{d}-{i}" for i in range(50)], name=f"d{d}-") for d in range(30)]
    balanced = balance_stream(BASE, days, settings)
    assert len(balanced.table) == 1500
    assert balanced.share == pytest.approx(0.5)
    assert balanced.table.weights.sum() == pytest.approx(10, rel=1e-4)


def test_balance_stream__a_little_stream_keeps_its_full_weight():
    balanced = balance_stream(BASE, [table(2, ["a", "b"])], BalanceSettings(stream_share=0.5))
    assert balanced.table.weights.tolist() == [1, 1]
    assert balanced.share == pytest.approx(2 / 12)


def test_balance_stream__challenge_images_weigh_little():
    day = replace(table(3, ["a", "b", "c"], weights=[2, 2, 1]), eras=("native", "crop-224", "letterbox-224"))
    balanced = balance_stream(BASE, [day], BalanceSettings(stream_share=0.5))
    assert balanced.table.weights.tolist() == pytest.approx([2, 2 * OLD_ERA_WEIGHT, OLD_ERA_WEIGHT])


def test_balance_stream__caps_keep_hard_rows_and_both_labels():
    weights = np.ones(40)
    weights[[3, 17]] = 2
    day = table(40, [f"g{i}" for i in range(40)], weights, labels=[1] * 30 + [0] * 10)
    balanced = balance_stream(BASE, [day], BalanceSettings(day_cap=10, stream_share=0.9))
    assert {"s3", "s17"} <= set(balanced.table.ids)
    assert len(balanced.table) == 10
    assert balanced.capped == 30
    assert (balanced.table.labels == 0).sum() == 4


def test_balance_stream__a_group_is_capped_over_all_days_and_the_newest_stay():
    days = [table(5, ["parked"] * 5, name=f"d{d}-") for d in range(3)]
    balanced = balance_stream(BASE, days, BalanceSettings(group_cap=7))
    names = [name.split("-")[0] for name in balanced.table.ids]
    assert names == ["d1"] * 2 + ["d2"] * 5


def test_balance_stream__no_stream():
    assert balance_stream(BASE, [], BalanceSettings()).table is None


def test_hard_weights__wrong_answers_on_both_sides():
    p = np.array([0.9, 0.1, 0.9, 0.1])
    assert hard_weights(np.array([0, 0, 1, 1], np.int8), p, 3.0).tolist() == [3, 1, 1, 3]
