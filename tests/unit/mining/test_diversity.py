import numpy as np

from streetvision_core.mining._frontier import Frontier
from streetvision_core.mining.diversity import BLOCK, Spread, project


def make_clusters(rng: np.random.Generator, n_clusters: int, size: int, dim: int, noise: float) -> np.ndarray:
    centers = np.repeat(rng.standard_normal((n_clusters, dim)), size, axis=0)
    return (centers + noise * rng.standard_normal(centers.shape)).astype(np.float32)


def pick(features: np.ndarray, n: int, cosine: float = 1.0) -> list[int]:
    names = list(map(str, range(len(features))))
    frontier = Frontier(np.zeros(len(features)), names, Spread(features, cosine), 1, 1.0)
    while len(frontier.chosen) < n and (row := frontier.best()) is not None:
        frontier.offer(row)
    return frontier.chosen


def test_project__keeps_cosines() -> None:
    features = make_clusters(np.random.default_rng(0), 20, 5, 1500, 0.2)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    projected = project(features)
    assert projected.shape == (100, 64)
    assert np.abs(projected @ projected.T - unit @ unit.T).max() < 0.6
    near = unit @ unit.T > 0.9
    assert np.abs((projected @ projected.T - unit @ unit.T)[near]).max() < 0.05


def test_project__short_rows_are_only_normalised() -> None:
    features = np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0]], np.float32)
    assert np.allclose(project(features), [[0.6, 0.8], [0, 0], [0, 0]])


def test_spread__covers_every_cluster_before_it_repeats_one() -> None:
    features = make_clusters(np.random.default_rng(1), 12, 30, 640, 0.2)
    rows = pick(features, 12)
    assert sorted(row // 30 for row in rows) == list(range(12))


def test_spread__covers_as_well_as_exact_farthest_point() -> None:
    """The projected choice is compared with the exact slow one by the largest distance left uncovered."""
    features = make_clusters(np.random.default_rng(2), 40, 10, 800, 0.5)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)

    def uncovered(rows: list[int]) -> float:
        return float((1 - (unit @ unit[rows].T).max(axis=1)).max())

    exact = [0]
    while len(exact) < 60:
        exact.append(int((unit @ unit[exact].T).max(axis=1).argmin()))
    assert uncovered(pick(features, 60)) <= 1.35 * uncovered(exact)


def test_spread__near_duplicates_are_found_exactly() -> None:
    rng = np.random.default_rng(3)
    features = make_clusters(rng, 30, 8, 2560, 0.1)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for cosine in (0.97, 0.985, 0.99):
        spread = Spread(features, cosine)
        spread.choose(0)
        found = set(spread.catch_up(0, np.ones(len(features), bool))[0].tolist())
        exact = set(np.flatnonzero(unit @ unit[0] >= cosine).tolist()) | {0}
        assert found == exact
        assert all(spread.is_duplicate(row) == (row in exact) for row in range(len(features)))


def test_spread__known_rows_repel() -> None:
    rng = np.random.default_rng(4)
    features = make_clusters(rng, 3, 10, 300, 0.05)
    spread = Spread(features, 0.985, known=features[:1] * 7)
    assert all(spread.is_duplicate(row) == (row < 10) for row in range(30))
    repeated, _ = spread.catch_up(0, np.ones(30, bool))
    assert not len(repeated)  # those of known rows are refused one by one, when they are offered
    assert spread.distance[:10].max() < 0.1 < spread.distance[10:].min()


def test_spread__a_block_that_fell_behind_meets_every_choice() -> None:
    features = make_clusters(np.random.default_rng(5), 2 * BLOCK // 16, 16, 200, 0.1)
    at_once, one_by_one = Spread(features, 0.985), Spread(features, 0.985)
    asked = np.ones(len(features), bool)
    first: dict[int, int] = {}
    for number, row in enumerate(range(0, 200 * 16, 16)):
        at_once.choose(row % len(features))
        one_by_one.choose(row % len(features))
        found, choices = one_by_one.catch_up(1, asked)
        assert set(choices.tolist()) <= {number}
        first = dict.fromkeys(found.tolist(), number) | first
    assert at_once.is_behind(0) and at_once.is_behind(1)
    found, choices = at_once.catch_up(1, asked)
    assert dict(zip(found.tolist(), choices.tolist(), strict=True)) == first
    assert len(first) > 0.9 * BLOCK
    assert np.allclose(at_once.distance[BLOCK:], one_by_one.distance[BLOCK:], atol=1e-6)
    assert at_once.is_behind(0) and not at_once.is_behind(1)
    assert (at_once.distance[:BLOCK] == 1).all()
