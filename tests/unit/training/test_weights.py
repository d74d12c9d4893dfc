import numpy as np
import pytest

from streetvision_core.training.weights import BALANCES, balanced, photo_weights, row_weights
from tests.unit.training.learnable import learnable_table


def test_photo_weights__variants_weigh_as_one_photo():
    ids = ["a.jpg#native", "a.jpg#crop-224#1", "b.jpg", "c.jpg#native"]
    assert photo_weights(ids, [1.0, 1.0, 1.0, 0.0]).tolist() == [0.5, 0.5, 1.0, 0.0]
    assert photo_weights(ids, [0.4, 0.1, 1.0, 1.0]) == pytest.approx([0.32, 0.08, 1.0, 1.0])
    assert photo_weights([], []).tolist() == []


def test_balanced__without_origins_only_the_classes():
    weights = balanced(np.array([1.0, 3.0, 1.0, 1.0]), np.array([1, 0, 0, 0]))
    assert weights[0] == pytest.approx(weights[1:].sum()) and weights[1] == pytest.approx(3 * weights[2])


@pytest.mark.parametrize("balance", BALANCES)
def test_row_weights__classes_weigh_the_same(balance):
    table = learnable_table(n=100, labels=[1] * 10 + [0] * 90, origins=["x"] * 5 + ["y"] * 95)
    weights = row_weights(table, balance)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[:10].sum() == pytest.approx(weights[10:].sum())


def test_row_weights__origin_balance_is_by_square_root():
    table = learnable_table(n=30, labels=[1] * 10 + [0] * 20, origins=["small"] * 4 + ["big"] * 16 + ["small"] * 10)
    table_none = table.labels == 0
    weights = row_weights(table, "origin")
    small = weights[table_none & (np.array(table.origins) == "small")].sum()
    big = weights[table_none & (np.array(table.origins) == "big")].sum()
    assert small / big == pytest.approx(1.0)
    ones = table.labels == 1
    assert weights[ones & (np.array(table.origins) == "big")].sum() / weights[:4].sum() == pytest.approx(1.5**0.5)


def test_row_weights__more_variants_do_not_count_more():
    once = learnable_table(n=40, ids=[f"p{i}" for i in range(40)])
    table = learnable_table(
        n=40, labels=once.labels, ids=[f"p{i // 2}#{i % 2}" if i < 20 else f"p{i}" for i in range(40)]
    )
    weights = row_weights(table, "class")
    one = table.labels == 1
    assert weights[:20][one[:20]].max() == pytest.approx(weights[20:][one[20:]].max() / 2)


def test_row_weights__zero_stays_zero():
    table = learnable_table(n=20, weights=np.r_[np.zeros(5), np.ones(15)])
    assert (row_weights(table, "origin")[:5] == 0).all()
