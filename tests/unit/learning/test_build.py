"""One dataset from base and stream: no group and no near-duplicate in two splits, and the user's world is measured."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.data.splits import check_no_leak
from streetvision_core.data.table import FeatureTable
from streetvision_core.learning.build import YOUR_STREAM, build_dataset
from streetvision_core.learning.dataset import Dataset, Provenance
from streetvision_core.learning.measured import choose_measured, split_of_group
from streetvision_core.settings import BalanceSettings
from streetvision_core.types import Split

BALANCE = BalanceSettings()
COSINE = 0.985
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(40, 24)).astype(np.float32)


def dataset(groups, vectors, splits, *, by="machine", images=None, origin="stream: http", prefix="q", world="real"):
    ids = [f"{prefix}{i}" for i in range(len(groups))]
    table = FeatureTable.build(
        vectors, backbone="b", preprocessing="p/1", groups=groups, splits=splits, ids=ids,
        labels=[i % 2 for i in range(len(groups))], origins=[origin] * len(groups),
    )  # fmt: skip
    whose = [by] * len(groups) if isinstance(by, str) else by
    rows = [Provenance(image, labelled_by=one, world=world) for image, one in zip(images or ids, whose, strict=True)]
    return Dataset(table, tuple(rows))


BASE = dataset([f"base{i}" for i in range(8)], VECTORS[:8], list(Split) * 2, origin="photos", prefix="base")


def build(nights, measured=None, drawn=(), base=BASE):
    return build_dataset(
        base, nights, measured=measured or {}, drawn=drawn, balance=BALANCE, near_duplicate_cosine=COSINE
    )


def stream(groups, vectors, **more):
    return dataset(groups, vectors, [split_of_group(group) for group in groups], **more)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 39), st.booleans(), st.booleans()), min_size=1, max_size=60),
    st.floats(0, 1),
)
def test_build_dataset__splits_share_no_group_and_no_near_duplicate(rows, share):
    groups = [f"g{group}" for group, *_ in rows]
    images = [f"i{i}" for i in range(len(rows))]
    by = ["person" if person else "machine" for *_, person, _ in rows]
    drawn = {image for image, (*_, probe) in zip(images, rows, strict=True) if probe}
    measured = choose_measured([g for g, i in zip(groups, images, strict=True) if i in drawn], (), {}, share)
    night = stream(groups, VECTORS[[vector for _, vector, *_ in rows]], by=by, images=images)
    built = build([night], measured, drawn)
    check_no_leak(built.table.groups, built.table.splits, built.table.features, COSINE)
    assert built.table.ids[: len(BASE)] == BASE.table.ids, "the base stays as it is"
    for row, group, split, origin in zip(
        built.rows, built.table.groups, built.table.splits, built.table.origins, strict=True
    ):
        if origin == YOUR_STREAM:
            assert (row.labelled_by, row.image in drawn, split) == ("person", True, measured[group])
        elif group in measured:
            pytest.fail("a group that measures teaches")
    kept = len(built) - len(BASE)
    notes = built.notes
    assert kept + notes["capped"] + len(notes["set_aside"]) + notes["waiting_for_a_person"] == len(rows)


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(8, 39)), max_size=12), min_size=2, max_size=4))
def test_build_dataset__later_nights_move_no_row_to_another_split(nights):
    made = []
    for number, night in enumerate(nights):
        groups, vectors = [f"g{group}" for group, _ in night], VECTORS[[vector for _, vector in night]]
        made.append(stream(groups, vectors.reshape(-1, 24), prefix=f"n{number}-"))
    before: dict[str, Split] = {}
    for last in range(1, len(made) + 1):
        built = build(made[:last])
        now = dict(zip(built.table.ids, built.table.splits, strict=True))
        assert all(now.get(name, split) == split for name, split in before.items())
        before |= now


def test_build_dataset__a_near_duplicate_of_a_judged_photo_never_teaches():
    test = BASE.table.splits.index(Split.TEST)
    night = stream(["g1", "g2"], np.stack([VECTORS[test] * 2, VECTORS[20]]))
    built = build([night])
    assert built.notes["set_aside"] == ["q0"]
    assert built.table.ids[len(BASE) :] == ("q1",)


def test_build_dataset__what_nearly_equals_a_challenge_image_is_set_aside_whoever_labels_it():
    challenge = dataset(["c1", "c2"], VECTORS[30:32], [Split.TEST] * 2, prefix="challenge")
    night = stream(["g1", "c2", "g3"], np.stack([VECTORS[30] * 3, VECTORS[21], VECTORS[22]]), by="person")
    built = build_dataset(
        BASE, [night], measured={}, drawn=(), balance=BALANCE, near_duplicate_cosine=COSINE, challenge=challenge
    )
    assert built.notes["set_aside"] == ["q0", "q1"]
    assert built.table.ids[len(BASE) :] == ("q2",)


def test_build_dataset__a_group_named_like_a_judged_one_is_set_aside():
    name = BASE.table.groups[BASE.table.splits.index(Split.TEST)]
    assert build([stream([name], VECTORS[[20]])]).notes["set_aside"] == ["q0"]


def test_build_dataset__a_drawn_group_measures_once_a_person_has_labelled_it():
    measured = {"g1": Split.TEST, "g2": Split.CALIBRATE}
    night = stream(["g1", "g1", "g2"], VECTORS[20:23], by=["person", "person", "machine"], images=["a", "b", "c"])
    built = build([night], measured, drawn={"a", "c"})
    new = built.select(range(len(BASE), len(built)))
    assert (new.table.ids, new.table.splits, new.table.origins) == (("q0",), (Split.TEST,), (YOUR_STREAM,))
    assert built.notes["waiting_for_a_person"] == 2, "b was not drawn blindly, c has no person's label"
    later = replace(night, rows=tuple(replace(row, labelled_by="person") for row in night.rows))
    again = build([later], measured, drawn={"a", "c"})
    assert again.table.splits[len(BASE) :] == (Split.TEST, Split.CALIBRATE)


def test_build_dataset__of_rendered_frames_nothing_measures():
    night = stream(["g1"], VECTORS[[20]], by="renderer", images=["a"], world="rendered")
    built = build([night], {"g1": Split.TEST}, drawn={"a"})
    assert built.table.splits[len(BASE) :] == (split_of_group("g1"),)


def test_build_dataset__caps_and_weights_are_those_of_the_balance():
    night = stream(["g1"] * 30, RNG.normal(size=(30, 24)).astype(np.float32))
    built = build([night])
    assert built.notes["capped"] == 30 - BALANCE.group_cap
    assert built.table.weights[len(BASE) :].sum() == pytest.approx(2.0), "half of the weight with two TRAIN photos"
    assert built.notes["stream_share"] == pytest.approx(0.5)


def test_build_dataset__without_a_stream_is_the_base():
    assert build([]).digest == BASE.digest
