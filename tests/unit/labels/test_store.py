"""The label store: precedence, withdrawals, repetition, snapshots; damaged, locked and newer files."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.errors import LabelStoreError, StorageError
from streetvision_core.labels import SOURCES, Decision, LabelStore, Source
from streetvision_core.labels.values import resolve_labels

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE, TWO = "1" * 64, "2" * 64


def decide(
    label: int | None, source: Source = "person", who: str = "anna", minute: int = 0, image: str = ONE, **more: object
) -> Decision:
    return Decision(image, label, source, who, NOON + timedelta(minutes=minute), **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "labels.sqlite")


def label_of(store: LabelStore, image: str = ONE) -> int | str | None:
    label = store.labels().get(image)
    return "none at all" if label is None else label.label


def test_record__comes_back_whole_from_another_process_or_day(store: LabelStore, tmp_path: Path) -> None:
    made = decide(1, why="cones behind the van", tags=("night", "fog", "fog"), query="query-7")
    assert store.record_decisions([made]).new == 1
    other = LabelStore(tmp_path / "labels.sqlite")
    assert other.decisions() == [made]
    label = other.labels()[ONE]
    assert (label.label, label.source, label.who, label.when) == (1, "person", "anna", NOON)
    assert (label.why, label.tags) == ("cones behind the van", frozenset({"fog", "night"}))


def test_reading__an_absent_store_is_empty_and_stays_absent(store: LabelStore) -> None:
    assert (store.labels(), store.decisions(), store.position(), store.unknown()) == ({}, [], 0, [])
    assert not store.path.exists()


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        ([decide(1), decide(0, "caller", "app", 9)], 1),  # a caller never beats a person, however late
        ([decide(0, "caller", "app"), decide(1, "machine", "label-model", -9)], 1),
        ([decide(0, "machine", "label-model", 9), decide(1, "renderer", "scene-truth")], 1),
        ([decide(0, "renderer", "scene-truth", 9), decide(1)], 1),
        ([decide(1), decide(0, who="ben", minute=1)], 0),  # the newest person holds
        ([decide(1, minute=5), decide(0, who="ben", minute=1)], 1),  # by when it was decided, not when recorded
        ([decide(1), decide(0, who="ben")], 0),  # at one moment the one recorded later
        ([decide(1), decide(None, minute=1)], None),  # set aside is a word too
        ([decide(0, "caller", "app"), decide(None, tags=("fog",), only_tags=True)], 0),
        ([decide(None, tags=("fog",), only_tags=True)], "none at all"),
    ],
)
def test_labels__precedence(store: LabelStore, decisions: list[Decision], expected: object) -> None:
    store.record_decisions(decisions)
    assert label_of(store) == expected


def test_labels__tags_add_up_over_everybody(store: LabelStore) -> None:
    store.record_decisions(
        [decide(1, tags=("night",)), decide(None, who="ben", minute=1, tags=("fog",), only_tags=True)]
    )
    assert store.labels()[ONE].tags == {"night", "fog"}


def test_record__repetition_changes_nothing_but_a_word_after_somebody_elses_counts(store: LabelStore) -> None:
    anna, ben = decide(1), decide(0, who="ben", minute=1)
    assert store.record_decisions([anna, anna, decide(1, minute=3)]).unchanged == 2
    assert store.record_decisions([ben]).new == 1
    assert store.record_decisions([anna, ben]).new == 0
    assert store.record_decisions([decide(1, minute=4)]).new == 1
    assert label_of(store) == 1


def test_undo__one_word_at_a_time_and_only_ones_own(store: LabelStore) -> None:
    store.record_decisions([decide(1, who="ben"), decide(0, minute=1), decide(1, minute=2), decide(0, "caller", "app")])
    assert store.undo(ONE, "anna", NOON + timedelta(minutes=3)).label == 1
    assert label_of(store) == 0
    assert store.undo(ONE, "anna", NOON + timedelta(minutes=4)).label == 0
    assert (label_of(store), store.labels()[ONE].who) == (1, "ben")
    with pytest.raises(LabelStoreError, match="no decision of anna about image 1111"):
        store.undo(ONE, "anna", NOON)
    assert store.undo(ONE, "ben", NOON).label == 1
    assert store.labels()[ONE].source == "caller"


def test_undo__what_was_withdrawn_can_be_said_again(store: LabelStore) -> None:
    store.record_decisions([decide(1)])
    store.undo(ONE, "anna", NOON)
    assert label_of(store) == "none at all"
    assert store.record_decisions([decide(1)]).new == 1
    assert label_of(store) == 1


def test_labels__a_snapshot_does_not_move(store: LabelStore) -> None:
    store.record_decisions([decide(1)])
    night = store.position()
    store.record_decisions([decide(0, minute=1), decide(1, image=TWO)])
    store.undo(ONE, "anna", NOON + timedelta(minutes=2))
    assert {image: label.label for image, label in store.labels(upto=night).items()} == {ONE: 1}
    assert store.position() == night + 3


def test_record__unknown_images_are_kept_apart_and_taken_over_later(store: LabelStore) -> None:
    outcome = store.record_decisions([decide(1), decide(0, image=TWO)], is_known={ONE}.__contains__)
    assert (outcome.new, [d.image for d in outcome.set_aside]) == (1, [TWO])
    assert (set(store.labels()), [d.image for d in store.unknown()]) == ({ONE}, [TWO])
    # Said twice, it is kept once.
    store.record_decisions([decide(0, image=TWO)], is_known={ONE}.__contains__)
    assert len(store.unknown()) == 1
    assert store.adopt_known({ONE, TWO}.__contains__) == 1
    assert (store.unknown(), label_of(store, TWO)) == ([], 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": "query-7"}, "the image 'query-7'"),
        ({"label": 2}, "the label 2"),
        ({"source": "oracle"}, "the source 'oracle'"),
        ({"who": " "}, "by nobody"),
        ({"when": datetime(2026, 3, 1)}, "without a zone"),
        ({"only_tags": True}, "only tags with label 1"),
    ],
)
def test_decision__refusals_name_what_is_allowed(changes: dict[str, object], message: str) -> None:
    values: dict[str, object] = {"image": ONE, "label": 1, "source": "person", "who": "anna", "when": NOON}
    with pytest.raises(LabelStoreError, match=message):
        Decision(**(values | changes))  # type: ignore[arg-type]


words = st.builds(
    decide,
    label=st.sampled_from([0, 1, None]),
    source=st.sampled_from(SOURCES),
    who=st.sampled_from(["anna", "ben"]),
    minute=st.integers(0, 3),
    image=st.sampled_from([ONE, TWO]),
)


@given(st.lists(words, max_size=12), st.integers(0, 11))
def test_record__twice_is_once_and_the_order_of_sheets_does_not_matter(decisions: list[Decision], cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, LabelStore(Path(folder) / "labels.sqlite") as store:
        store.record_decisions(decisions)
        once = store.labels()
        assert store.record_decisions(store.decisions()).new == 0
        assert store.labels() == once
        for image, label in once.items():
            said = [d for d in decisions if d.image == image]
            assert label.source == min((d.source for d in said), key=SOURCES.index)
            newest = max(d.when for d in said if d.source == label.source)
            assert label.when <= newest  # a repetition of what holds keeps the time it was first said
    moments = [d.when for d in decisions]
    if len(set(moments)) == len(moments):
        assert resolve_labels(decisions[cut:] + decisions[:cut]) == resolve_labels(decisions)


def test_threads__every_decision_is_there_once(store: LabelStore) -> None:
    images = [f"{i:064x}" for i in range(40)]
    threads = [
        threading.Thread(target=lambda: [LabelStore(store.path).record_decisions([decide(1, image=i)]) for i in images])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.decisions()) == 40


def test_kill__what_was_acknowledged_is_there(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    code = textwrap.dedent(f"""
        from datetime import UTC, datetime
        from pathlib import Path
        from streetvision_core.labels import Decision, LabelStore
        store = LabelStore(Path({str(path)!r}))
        for i in range(10**6):
            store.record_decisions([Decision(f"{{i:064x}}", 1, "person", "anna", datetime.now(UTC))])
            print(i, flush=True)
    """)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    seen = [int(child.stdout.readline()) for _ in range(25)]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert set(seen) <= {int(d.image, 16) for d in LabelStore(path).decisions()}


def test_open__a_damaged_file_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(LabelStoreError, match="a sound label store; do: restore"):
        LabelStore(path).labels()
    assert path.read_bytes().startswith(b"no database")


def test_open__a_newer_file_is_refused_untouched(store: LabelStore) -> None:
    store.record_decisions([decide(1)])
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(LabelStoreError, match="version 99"):
        LabelStore(store.path).labels()


def test_write__a_lock_that_stays_is_named(store: LabelStore) -> None:
    store.record_decisions([decide(1)])
    with sqlite3.connect(store.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LabelStoreError, match="one writer at a time"):
            LabelStore(store.path, busy_seconds=0.05).record_decisions([decide(0, minute=1)])
        other.execute("ROLLBACK")


def test_write__a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="fix the rights"):
        LabelStore(tmp_path / "file" / "labels.sqlite").record_decisions([decide(1)])


def test_labels__what_programs_say_counts_whenever_it_was_recorded(store):
    decide = lambda image, source: Decision(image, 1, source, "x", NOON)  # noqa: E731
    store.record_decisions([decide(ONE, "person")])
    night = store.position()
    store.record_decisions([decide(TWO, "renderer"), decide("3" * 64, "person")])
    assert set(store.labels(upto=night)) == {ONE, TWO}, "the night records the renderer's truth after it has begun"
    assert (store.people_since(night), store.people_since(0), store.people_since(store.position())) == (1, 2, 0)
