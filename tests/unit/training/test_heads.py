import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.models.head import Head
from streetvision_core.training._fit import fit_specs
from streetvision_core.training._space import Standardiser
from streetvision_core.training.heads import FITS, honest_logits, progress_bar, train_heads, usable
from streetvision_core.training.spec import BASELINE_C, CandidateSpec, default_specs
from streetvision_core.training.weights import row_weights
from streetvision_core.types import Split
from tests.unit.training.learnable import SETTINGS, learnable_table


def fitted_rows(table):
    """What the finished head is fitted on: SELECT too, once it has chosen."""
    return table.in_split(Split.TRAIN) | table.in_split(Split.SELECT)


def test_train_heads__learns_and_ranks_all_candidates():
    table = learnable_table()
    trained = train_heads(table, SETTINGS, seed=0)
    test = table.select(table.in_split(Split.TEST))
    assert np.mean((trained.head.predict_logit(test.features) > 0) == test.labels) > 0.85
    assert len(trained.leaderboard) == len(default_specs(SETTINGS))
    assert [c.chosen for c in trained.leaderboard] == [True] + [False] * (len(trained.leaderboard) - 1)
    assert {c.spec.kind for c in trained.leaderboard} == {"baseline", "linear", "mlp"}
    assert trained.rows == {"TRAIN": 180, "SELECT": 60}


def test_train_heads__to_dict_is_json():
    trained = train_heads(learnable_table(n=120), SETTINGS, seed=0)
    data = json.loads(json.dumps(trained.to_dict()))
    assert data["leaderboard"][0]["chosen"] and data["leaderboard"][0]["name"]


def test_train_heads__same_seed_same_head():
    heads = [train_heads(learnable_table(n=120), SETTINGS, seed=3).head for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(heads[0].weights, heads[1].weights, strict=True))


@pytest.mark.parametrize("kind", ["baseline", "linear", "mlp"])
def test_train_heads__answers_the_mean_of_its_fits(kind):
    table = learnable_table(n=120)
    spec = next(s for s in default_specs(SETTINGS) if s.kind == kind)
    head = train_heads(table, SETTINGS, 0, specs=[spec]).head
    rows = table.select(fitted_rows(table))
    space = Standardiser(head.mean, head.scale)
    weights = row_weights(rows, spec.balance)[:, None]
    fits = [
        fit_specs(space(rows.features), rows.labels, weights, [spec], SETTINGS.epochs, seed).logits(
            space(table.features)
        )
        for seed in ([0] if kind == "baseline" else range(0, 1000 * FITS, 1000))
    ]
    assert head.notes["fits"] == len(fits)
    assert np.allclose(head.predict_logit(table.features), np.mean(fits, axis=0)[:, 0], atol=1e-3)


def test_train_heads__hangs_less_on_its_seed_than_one_fit():
    table = learnable_table(n=240)
    spec = CandidateSpec("mlp", "cross-entropy", 0.01, 0.01, 8)
    rows = table.select(fitted_rows(table))
    x, weights = Standardiser.fit(rows.features, rows.weights)(rows.features), row_weights(rows, "class")[:, None]
    one = [fit_specs(x, rows.labels, weights, [spec], SETTINGS.epochs, seed).logits(x)[:, 0] for seed in range(4)]
    mean = [train_heads(table, SETTINGS, seed, specs=[spec]).head.predict_logit(rows.features) for seed in range(4)]
    assert np.std(mean, axis=0).mean() < 0.7 * np.std(one, axis=0).mean()


def test_train_heads__head_round_trips(tmp_path):
    table = learnable_table(n=120)
    for kind in ("linear", "mlp"):
        specs = [s for s in default_specs(SETTINGS) if s.kind == kind]
        head = train_heads(table, SETTINGS, 0, specs=specs).head
        head.save(tmp_path / kind)
        assert head.kind == kind
        assert np.allclose(Head.load(tmp_path / kind).predict_logit(table.features), head.predict_logit(table.features))


def test_train_heads__never_sees_calibrate_or_test():
    table = learnable_table(n=240)
    hidden = table.in_split(Split.CALIBRATE) | table.in_split(Split.TEST)
    features = table.features.copy()
    features[hidden] = 1e3
    spoiled = FeatureTable.build(
        features, backbone="b", preprocessing="p/1", labels=np.where(hidden, 1 - table.labels, table.labels),
        splits=table.splits,
    )  # fmt: skip
    a, b = (train_heads(t, SETTINGS, 0).head for t in (table, spoiled))
    assert np.array_equal(a.weights[0], b.weights[0]) and np.array_equal(a.mean, b.mean)


def test_train_heads__weight_zero_rows_and_unknown_labels_are_left_out():
    table = learnable_table(n=240)
    train = np.flatnonzero(table.in_split(Split.TRAIN))
    out = train[:40]
    weights, labels = np.ones(240), table.labels.copy()
    weights[out[:20]], labels[out[20:]] = 0.0, -1
    features = table.features.copy()
    features[out] = 50.0
    poisoned = FeatureTable.build(
        features, backbone="b", preprocessing="p/1", labels=labels, weights=weights, splits=table.splits
    )
    kept = np.ones(240, bool)
    kept[out] = False
    assert len(usable(poisoned, Split.TRAIN)) == len(train) - 40
    a, b = (train_heads(t, SETTINGS, 0).head for t in (poisoned, table.select(kept)))
    assert np.allclose(a.weights[0], b.weights[0])


def test_train_heads__baseline_is_scikit_learns():
    table = learnable_table(n=240)
    spec = CandidateSpec("baseline", weight_decay=BASELINE_C)
    head = train_heads(table, SETTINGS, 0, specs=[spec]).head
    train = table.select(fitted_rows(table))
    x = (train.features - head.mean) / head.scale
    reference = LogisticRegression(C=BASELINE_C, class_weight="balanced", max_iter=300).fit(x, train.labels)
    assert np.allclose(head.predict_logit(train.features), reference.decision_function(x), atol=1e-3)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_train_heads__one_pass_equals_one_by_one(kind):
    table = learnable_table(n=120)
    specs = [s for s in default_specs(SETTINGS) if s.kind == kind][:3]
    together = train_heads(table, SETTINGS, 0, specs=specs)
    alone = [train_heads(table, SETTINGS, 0, specs=[spec]).leaderboard[0] for spec in specs]
    by_name = {c.spec.name: c for c in together.leaderboard}
    for candidate in alone:
        twin = by_name[candidate.spec.name]
        assert twin.train_log_loss == pytest.approx(candidate.train_log_loss, abs=1e-5)
        assert twin.select_log_loss == pytest.approx(candidate.select_log_loss, abs=1e-5)


def test_train_heads__fewer_rows_than_columns_and_a_constant_column():
    table = learnable_table(n=60, dim=200, signal=3.0)
    features = table.features.copy()
    features[:, 7] = 5.0
    table = FeatureTable.build(features, backbone="b", preprocessing="p/1", labels=table.labels, splits=table.splits)
    head = train_heads(table, SETTINGS, 0).head
    features[:, 7] = 5.1
    assert np.isfinite(head.predict_logit(features)).all() and np.abs(head.predict_logit(features)).max() < 1e3


@pytest.mark.parametrize(
    ("labels", "splits"),
    [
        ([1, 1, 0, 1], [Split.TRAIN, Split.TRAIN, Split.SELECT, Split.SELECT]),
        ([1, 0, 1, 0], [Split.TRAIN] * 4),
        ([1, 0, -1, -1], [Split.TRAIN, Split.TRAIN, Split.SELECT, Split.SELECT]),
    ],
)
def test_train_heads__refuses_missing_classes(labels, splits):
    table = FeatureTable.build(np.eye(4), backbone="b", preprocessing="p/1", labels=labels, splits=splits)
    with pytest.raises(DataError, match="both classes in TRAIN"):
        train_heads(table, SETTINGS, 0)


def test_train_heads__one_class_select_falls_back_to_log_loss():
    table = learnable_table(n=120)
    keep = ~table.in_split(Split.SELECT) | (table.labels == 0)
    trained = train_heads(table.select(keep), SETTINGS, 0)
    losses = [c.select_log_loss for c in trained.leaderboard]
    assert trained.leaderboard[0].select_mcc == 0
    assert losses[0] <= min(losses) + 1e-3


def test_train_heads__reports_progress():
    seen = []
    with progress_bar("heads") as bar:
        train_heads(learnable_table(n=60), SETTINGS, 0, progress=lambda d, t: (seen.append((d, t)), bar(d, t)))
    assert seen[-1] == (100, 100) and seen == sorted(seen)


@pytest.mark.parametrize("kind", ["baseline", "linear", "mlp"])
def test_honest_logits__train_rows_are_out_of_fold(kind):
    """On pure noise a head fits TRAIN, but its honest logits know nothing."""
    table = learnable_table(n=400, dim=300, signal=0.0)
    spec = CandidateSpec(kind, "cross-entropy", 1e-2, 1e-2, 64 if kind == "mlp" else 0)
    head = train_heads(table, SETTINGS, 0, specs=[spec]).head
    honest, ok = honest_logits(table, head, SETTINGS, 0)
    train = fitted_rows(table)
    own = head.predict_logit(table.features)
    assert ok.all() and np.array_equal(honest[~train], own[~train])
    assert np.mean((own > 0) == table.labels, where=train) > 0.85
    assert 0.35 < np.mean((honest > 0) == table.labels, where=train) < 0.65


def test_honest_logits__too_few_groups_are_said_to_be_dishonest():
    table = learnable_table(n=60, groups=["one"] * 60)
    head = train_heads(table, SETTINGS, 0, specs=[CandidateSpec("baseline", weight_decay=1.0)]).head
    _, ok = honest_logits(table, head, SETTINGS, 0)
    assert np.array_equal(ok, ~fitted_rows(table))
