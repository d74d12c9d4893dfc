import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.errors import DataError
from streetvision_core.mining.annotate import Annotation
from streetvision_core.mining.review import CHOICES, COLUMNS, Decision, apply, export_csv, import_csv, latest


def make_annotation(i: int, label: int | None = 1, why: str = "uncertain") -> Annotation:
    return Annotation(f"query-{i}", f"{i:064x}", label, (), "scene-truth", "2026-03-01T12:00:00+00:00", why)


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
        ("flip", "maybe", "line 2: decision 'maybe'; allowed: accept, flip, set-aside"),
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
