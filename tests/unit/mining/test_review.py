import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.errors import DataError
from streetvision_core.mining.annotate import Annotation
from streetvision_core.mining.review import (
    CHOICES,
    COLUMNS,
    Decision,
    apply,
    export_csv,
    import_csv,
    latest,
    record,
    tags_of,
)


def make_annotation(i: int, label: int | None = 1, why: str = "uncertain", annotator: str = "ann") -> Annotation:
    return Annotation(f"query-{i}", f"{i:064x}", label, (), annotator, "2026-03-01T12:00:00+00:00", why)


def make_decision(i: int, choice: str, minute: int = 0, tag: str = "") -> Decision:
    return Decision(f"query-{i}", choice, tag, "ann", f"2026-03-01T13:{minute:02d}:00+00:00")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "choice", "expected"),
    [(1, "accept", 1), (0, "accept", 0), (1, "flip", 0), (0, "flip", 1), (1, "set-aside", None)],
)
def test_apply__one_decision(label: int, choice: str, expected: int | None) -> None:
    (reviewed,) = apply([make_annotation(1, label)], [make_decision(1, choice)])
    assert reviewed.label == expected
    assert reviewed.annotation.label == label, "what the annotator said is kept"


def test_apply__without_decision_the_annotation_stands() -> None:
    reviewed = apply([make_annotation(1, 0), make_annotation(2, None)], [])
    assert [(r.id, r.label, r.decision) for r in reviewed] == [("query-1", 0, None)]


def test_apply__a_proposal_is_no_label_until_decided() -> None:
    proposal = make_annotation(1, 1, annotator="champion")
    assert apply([proposal], [])[0].label is None
    assert apply([proposal], [make_decision(1, "tag", tag="fog")])[0].label is None
    assert apply([proposal], [make_decision(1, "accept")])[0].label == 1
    assert apply([proposal], [make_decision(1, "flip")])[0].label == 0


def test_apply__a_tag_leaves_the_label_alone() -> None:
    made = [make_decision(1, "flip", 1), make_decision(1, "tag", 2, "fog"), make_decision(1, "accept", 0, "night")]
    (reviewed,) = apply([make_annotation(1, 1)], made)
    assert (reviewed.label, reviewed.decision) == (0, made[0])
    assert tags_of(made) == {"query-1": {"fog", "night"}}


decisions = st.lists(
    st.builds(make_decision, st.integers(0, 3), st.sampled_from(CHOICES), st.integers(0, 59)),
    max_size=12,
    unique_by=lambda d: (d.id, d.decided_at),
)


@given(decisions, st.randoms())
def test_apply__is_idempotent_and_independent_of_order(made: list[Decision], random) -> None:  # type: ignore[no-untyped-def]
    annotations = [make_annotation(i, i % 2) for i in range(4)]
    once = apply(annotations, made)
    shuffled = made * 2
    random.shuffle(shuffled)
    assert apply(annotations, shuffled) == once


def test_apply__later_decision_holds() -> None:
    both = [make_decision(1, "flip", 5), make_decision(1, "accept", 9)]
    for order in itertools.permutations(both):
        assert apply([make_annotation(1, 1)], order)[0].label == 1


def test_apply__refuses_strangers_and_contradictions() -> None:
    with pytest.raises(DataError, match="decisions about query-9"):
        apply([make_annotation(1)], [make_decision(9, "accept")])
    with pytest.raises(DataError, match="flip and accept for query-1"):
        latest([make_decision(1, "flip"), make_decision(1, "accept")])


def test_latest__time_zones_are_compared_as_moments() -> None:
    early = Decision("q", "flip", "", "ann", "2026-03-01T13:30:00+02:00")
    late = Decision("q", "accept", "", "ann", "2026-03-01T12:00:00")
    assert latest([late, early])["q"] == late


def test_csv__round_trip(tmp_path: Path) -> None:
    annotations = [make_annotation(1, why='he said "why", twice\nand again'), make_annotation(2, None)]
    sheet = tmp_path / "review.csv"
    export_csv(sheet, annotations)
    assert sheet.read_text().splitlines()[0] == ",".join(COLUMNS)
    assert import_csv(sheet) == []
    made = [make_decision(1, "flip", tag="glare, low sun")]
    export_csv(sheet, annotations, made)
    assert import_csv(sheet) == made
    export_csv(sheet, annotations, import_csv(sheet))
    assert import_csv(sheet) == made


def test_import_csv__accepts_what_spreadsheets_write(tmp_path: Path) -> None:
    sheet = tmp_path / "review.csv"
    export_csv(sheet, [make_annotation(1)], [make_decision(1, "flip")])
    sheet.write_bytes(b"\xef\xbb\xbf" + sheet.read_bytes().replace(b"\n", b"\r\n"))
    assert import_csv(sheet) == [make_decision(1, "flip")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",human,", ",robot,", "line 2: decided_by 'robot'; allowed: human, machine"),
        ("flip", "tag", "line 2: the decision tag without a tag"),
        ("flip", "maybe", "line 2: decision 'maybe'; allowed: accept, flip, set-aside, tag"),
        (",ann,", ",,", "line 2: a decision without a reviewer"),
        ("2026-03-01T13:00:00", "noon", "line 2: decided_at 'noon"),
        ("decision,", "verdict,", "no column decision"),
    ],
)
def test_import_csv__names_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    sheet = tmp_path / "review.csv"
    export_csv(sheet, [make_annotation(1)], [make_decision(1, "flip")])
    sheet.write_text(sheet.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        import_csv(sheet)


def test_import_csv__no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="written by export_csv"):
        import_csv(tmp_path / "none.csv")


def test_import_csv__fills_in_who_and_when(tmp_path: Path) -> None:
    sheet = tmp_path / "review.csv"
    export_csv(sheet, [make_annotation(1)])
    sheet.write_text(sheet.read_text().replace(",uncertain,,,,,,", ",uncertain,flip,,,,,"))
    moment = datetime(2026, 3, 1, 13, tzinfo=UTC)
    assert import_csv(sheet, "ann", moment) == [make_decision(1, "flip")]


def test_import_csv__older_sheets_without_the_last_columns(tmp_path: Path) -> None:
    sheet = tmp_path / "review.csv"
    header = ",".join(COLUMNS[:9])
    sheet.write_text(f"{header}\nquery-1,00,1,x,y,flip,,ann,2026-03-01T13:00:00+00:00\n")
    assert import_csv(sheet) == [make_decision(1, "flip")]


def test_record__keeps_what_was_decided_before(tmp_path: Path) -> None:
    store, annotations = tmp_path / "decisions.csv", [make_annotation(1), make_annotation(2)]
    first, second = make_decision(1, "flip", 1), make_decision(1, "accept", 2)
    assert record(store, [first], annotations) == 1
    assert record(store, [second, first], annotations) == 1
    assert import_csv(store) == [first, second]
    assert record(store, [make_decision(1, "accept", 9)], annotations) == 0, "it says anew what holds"
    assert record(store, [make_decision(1, "flip", 9)], annotations) == 1


def test_record__refuses_strangers_and_leaves_the_store(tmp_path: Path) -> None:
    store = tmp_path / "decisions.csv"
    record(store, [make_decision(1, "flip")], [make_annotation(1)])
    before = store.read_text()
    with pytest.raises(DataError, match="decisions about query-9"):
        record(store, [make_decision(1, "accept", 5), make_decision(9, "accept")], [make_annotation(1)])
    assert store.read_text() == before


def test_record__many_at_once_lose_nothing(tmp_path: Path) -> None:
    store, annotations = tmp_path / "decisions.csv", [make_annotation(i) for i in range(24)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: record(store, [make_decision(i, "accept", i)], annotations), range(24)))
    assert len(import_csv(store)) == 24
