"""The report's sentence about whose word the labels are."""

from datetime import UTC, datetime

import pytest

from streetvision_core.labels import Decision
from streetvision_core.labels.values import resolve_labels
from streetvision_core.loop.report.sections import who_labelled

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
IMAGES = [f"{i:064x}" for i in range(4)]


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ([], "no label yet for 4 of 4 frames"),
        (["person"] * 4, "4 by anna"),
        (["renderer"] * 4, "4 by the renderer's own truth, which no person has looked at"),
        (
            ["person", "renderer", "machine"],
            "1 by anna; 1 by the renderer's own truth, which no person has looked at; "
            "1 by certified agreement of the sources, without a person; no label yet for 1 of 4 frames",
        ),
    ],
)
def test_who_labelled__is_true_of_the_store(sources: list[str], sentence: str) -> None:
    who = {"person": "anna"}
    decisions = [Decision(i, 1, s, who.get(s, s), NOON) for i, s in zip(IMAGES, sources, strict=False)]  # type: ignore[arg-type]
    assert who_labelled(IMAGES, resolve_labels(decisions)) == sentence
