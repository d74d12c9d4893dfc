import numpy as np

from streetvision_core.mining.diversity import GroupCap, Spread, next_row, project


def make_clusters(rng: np.random.Generator, n_clusters: int, size: int, dim: int, noise: float) -> np.ndarray:
    centers = np.repeat(rng.standard_normal((n_clusters, dim)), size, axis=0)
    return (centers + noise * rng.standard_normal(centers.shape)).astype(np.float32)


def pick(features: np.ndarray, n: int, cosine: float = 1.0) -> list[int]:
    spread, cap = Spread(features, cosine), GroupCap(tuple(map(str, range(len(features)))), 1)
    rows: list[int] = []
    while len(rows) < n and (row := next_row(np.zeros(len(features)), spread, cap, 1.0)) is not None:
        cap.choose(row)
        cap.refuse(spread.choose(row))
        rows.append(row)
    return rows


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
        found = set(spread.choose(0).tolist())
        exact = set(np.flatnonzero(unit @ unit[0] >= cosine).tolist()) | {0}
        assert found == exact
        assert all(spread.is_duplicate(row) == (row in exact) for row in range(len(features)))


def test_spread__known_rows_repel() -> None:
    rng = np.random.default_rng(4)
    features = make_clusters(rng, 3, 10, 300, 0.05)
    spread = Spread(features, 0.985, known=features[:1] * 7)
    assert all(spread.is_duplicate(row) == (row < 10) for row in range(30))
    assert spread.distance[:10].max() < 0.1 < spread.distance[10:].min()


def test_group_cap__closes_a_full_group() -> None:
    cap = GroupCap(("a", "a", "a", "b"), 2)
    cap.choose(0)
    assert cap.open.tolist() == [False, True, True, True]
    cap.choose(2)
    assert cap.open.tolist() == [False, False, False, True]
    assert cap.refuse(np.array([0, 3])) == 1
    assert GroupCap((), 2).open.tolist() == []
