import numpy as np
import pytest

from streetvision_core.mining._frontier import Frontier
from streetvision_core.mining.diversity import BLOCK, Spread, project

Features = np.ndarray


def make_rows(n: int, n_groups: int, noise: float, seed: int) -> tuple[Features, list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    groups = rng.integers(n_groups, size=n)
    features = rng.standard_normal((n_groups, 200))[groups] + noise * rng.standard_normal((n, 200))
    return features.astype(np.float32), [f"g{g}" for g in groups], rng.random(n)


def search_all_rows(
    features: Features, groups: list[str], hardness: np.ndarray, cosine: float, cap: int, diversity: float, n: int
) -> tuple[list[int], int]:
    """The same choice without bounds or blocks: every row is compared with every choice, at once.

    A near-duplicate that the projection does not nominate is refused when its turn comes.
    """
    nominated_from = cosine - 4 * (1 - cosine**2) / 8
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    near, names = project(features), np.array(groups)
    distance, is_open = np.ones(len(features), np.float32), np.ones(len(features), bool)
    chosen: list[int] = []
    duplicates = 0
    while len(chosen) < n and is_open.any():
        worth = (1 - diversity) * hardness + diversity * distance
        worth[~is_open] = -np.inf
        row = int(worth.argmax())
        is_open[row] = False
        if (unit[chosen] @ unit[row] >= cosine).any():
            duplicates += 1
            continue
        chosen.append(row)
        if (names[chosen] == names[row]).sum() == cap:
            is_open[names == names[row]] = False
        distance = np.minimum(distance, 1 - near @ near[row])
        repeated = is_open & (unit @ unit[row] >= cosine) & (near @ near[row] >= nominated_from)
        duplicates += int(repeated.sum())
        is_open[repeated] = False
    return chosen, duplicates


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("n_groups", "noise", "cap", "diversity"),
    [(300, 0.1, 4, 0.5), (40, 0.3, 3, 0.9), (40, 0.13, 2, 0.5), (25, 1.0, 100, 0.0), (60, 0.12, 6, 1.0)],
)
def test_frontier__chooses_what_a_search_through_all_rows_chooses(
    n_groups: int, noise: float, cap: int, diversity: float, seed: int
) -> None:
    features, groups, hardness = make_rows(3 * BLOCK + 17, n_groups, noise, seed)
    frontier = Frontier(hardness, groups, Spread(features, 0.985), cap, diversity)
    while len(frontier.chosen) < 90 and (row := frontier.best()) is not None:
        frontier.offer(row)
    frontier.settle()
    expected = search_all_rows(features, groups, hardness, 0.985, cap, diversity, 90)
    assert (frontier.chosen, frontier.near_duplicates) == expected


def test_frontier__a_full_group_is_closed() -> None:
    features = np.eye(4, dtype=np.float32)
    frontier = Frontier(np.array([0.9, 0.8, 0.7, 0.1]), ["a", "a", "a", "b"], Spread(features, 0.985), 2, 0.0)
    assert frontier.best() == 0 and frontier.offer(0)
    assert frontier.best() == 1 and frontier.offer(1)
    assert [frontier.is_open(row) for row in range(4)] == [False, False, False, True]
    assert frontier.best() == 3 and frontier.offer(3)
    assert frontier.best() is None


def test_frontier__refuses_what_is_known() -> None:
    features, groups, hardness = make_rows(50, 50, 0.0, 3)
    frontier = Frontier(hardness, groups, Spread(features, 0.985, known=features[:20] * 3), 9, 0.5)
    taken = [row for _ in range(50) if (row := frontier.best()) is not None and frontier.offer(row)]
    assert taken == frontier.chosen
    assert {groups[row] for row in taken} == set(groups) - set(groups[:20])
    assert frontier.near_duplicates == 50 - len(taken)


def test_frontier__of_no_rows() -> None:
    frontier = Frontier(np.empty(0), [], Spread(np.empty((0, 8), np.float32), 0.985), 2, 0.5)
    assert frontier.best() is None
    frontier.settle()
    assert (frontier.chosen, frontier.near_duplicates) == ([], 0)
