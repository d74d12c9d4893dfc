from __future__ import annotations

import numpy as np
import pytest

from streetvision_core.registry.erosion import FirstAnswers, measure_erosion
from streetvision_core.registry.gate import decide, protocol
from streetvision_core.settings import GateSettings

SETTINGS = GateSettings()


def _answers(wrong: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(wrong, 0.9 - 0.8 * y, 0.1 + 0.8 * y)


class Street:
    """TEST rows: rendered scenes on which there is much to win, photographs on which a chain loses a little."""

    def __init__(self, photographs: int, rendered: int = 4000) -> None:
        self.n = photographs + rendered
        self.photographs = np.arange(self.n) < photographs
        self.groups = [f"g{i}" for i in range(self.n)]
        self.origins = ["photographs" if i < photographs else "rendered" for i in range(self.n)]
        self.y = np.arange(self.n) % 2

    def chain(self, steps: np.ndarray, *, second_guard: bool) -> tuple[int, int]:
        """Promotes version after version, each a little worse on photographs and better on rendered scenes.

        Args:
            steps: int [N], the version from which on a photograph is answered wrongly.
            second_guard: whether the first version's answers are shown to the gate.

        Returns:
            The last version promoted, and how many photographs it answers wrongly.
        """
        rendered = np.cumsum(~self.photographs)
        last = 0
        for k in range(1, 40):
            # much is wrong on rendered scenes at first, a little less at each version
            pair = [np.where(self.photographs, steps <= v, rendered <= 2400 - 60 * v) for v in (last, k)]
            first = FirstAnswers(
                "v0001",
                _answers(np.where(self.photographs, steps <= 0, rendered <= 2400), self.y),
                self.photographs,
            )
            decision = decide(
                *(_answers(wrong, self.y) for wrong in pair),
                self.y,
                self.groups,
                self.origins,
                SETTINGS,
                first=first if second_guard else None,
            )
            if not decision.promote:
                break
            last = k
        return last, int((self.photographs & (steps <= last)).sum())


def test_chain__without_the_second_guard_photographs_are_lost_little_by_little() -> None:
    # each version loses 0.9 % of 2,000 photographs: within the champion's guard every time
    street = Street(2000)
    steps = np.where(street.photographs, 1 + np.arange(street.n) // 18, 10**6)
    unguarded = street.chain(steps, second_guard=False)
    assert unguarded[0] == 39, "every version of the chain was promoted"
    assert unguarded[1] / 2000 > 0.3
    guarded = street.chain(steps, second_guard=True)
    assert 1 <= guarded[0] <= 5
    assert guarded[1] / 2000 <= SETTINGS.erosion_margin


def test_chain__true_loss_stays_within_the_margin_with_the_stated_probability() -> None:
    """The stated bound: true loss on photographs <= erosion_margin with probability >= 1 - alpha, whatever the chain.

    The world loses photographs at a growing rate; the gate sees a sample of 400 groups, the same every night. Version
    k's true loss is 0.4 % times k. What counts is the true loss of the version that serves at the end.
    """
    rng = np.random.default_rng(0)
    rate, runs, beyond, lost = 0.004, 120, 0, []
    for _ in range(runs):
        street = Street(400, rendered=3000)
        steps = np.where(street.photographs, np.ceil(rng.random(street.n) / rate), 10**6)
        last, _ = street.chain(steps, second_guard=True)
        lost.append(rate * last)
        beyond += rate * last > SETTINGS.erosion_margin
    assert beyond / runs <= SETTINGS.alpha + 2 * np.sqrt(SETTINGS.alpha / runs)
    assert np.mean(lost) > 0.004, "the guard stops a chain, not every promotion"


@pytest.mark.parametrize(("groups", "kind"), [(38, "guard"), (200, "guard"), (400, "test"), (2000, "test")])
def test_measure_erosion__an_equal_version_passes(groups: int, kind: str) -> None:
    rng = np.random.default_rng(groups)
    passed = 0
    for _ in range(200):
        draw = rng.random(groups)
        first, challenger = draw >= 0.02, draw < 0.98
        result = measure_erosion("v0001", first, challenger, np.arange(groups), SETTINGS)
        assert result is not None
        assert result.kind == kind
        passed += result.passed
    assert passed / 200 >= 0.8


def test_measure_erosion__a_version_at_the_border_passes_a_test_with_probability_alpha() -> None:
    rng = np.random.default_rng(1)
    n, passed = 1500, 0
    for _ in range(n):
        draw = rng.random(400)
        loss = SETTINGS.erosion_margin
        result = measure_erosion("v0001", draw >= 0.02, draw < 0.98 - loss, np.arange(400), SETTINGS)
        assert result is not None
        passed += result.passed
    assert passed / n <= SETTINGS.alpha + 2 * np.sqrt(SETTINGS.alpha / n)


@pytest.mark.parametrize(("extra", "passed"), [(0, True), (14, True), (15, False)])
def test_measure_erosion__a_guard_counts_errors(extra: int, passed: bool) -> None:
    # the starter pack's TEST photographs: 290 rows of 38 groups
    first = np.ones(290, bool)
    result = measure_erosion("v0001", first, np.arange(290) >= extra, np.arange(290) % 38, SETTINGS)
    assert result is not None
    assert (result.kind, result.extra_errors, result.passed) == ("guard", extra, passed)
    assert f"{extra:+d} errors over 290 rows" in result.reason
    assert "at most +14 errors" in result.reason


def test_decide__a_failed_second_guard_keeps_the_champion() -> None:
    street = Street(300, rendered=600)
    champion = _answers(~street.photographs & (np.arange(street.n) % 3 == 0) | (np.arange(street.n) < 30), street.y)
    challenger = _answers(np.arange(street.n) < 30, street.y)
    first = FirstAnswers("v0001", _answers(np.zeros(street.n, bool), street.y), street.photographs)
    given = (champion, challenger, street.y, street.groups, street.origins, SETTINGS)
    assert decide(*given).promote
    decision = decide(*given, first=first)
    assert not decision.promote
    assert "Photographs against the first version v0001 failed: +30 errors over 300 rows" in decision.reasons[-1]
    assert decision.numbers["erosion"]["passed"] is False


@pytest.mark.parametrize(
    ("p", "photographs", "message"),
    [
        ([0.1, 0.9], [True] * 3, "2 answers of the first version to 4 rows"),
        ([0.1, 0.9, 0.1, 0.9], [True] * 3, "4 answers of the first version to 4 rows"),
        ([0.1, 0.9, np.nan, 0.9], [True] * 4, "1 of 4 answers of the first version are NaN"),
    ],
)
def test_decide__unusable_first_answers_keep_the_champion(
    p: list[float], photographs: list[bool], message: str
) -> None:
    good, bad, names = [0.9, 0.1, 0.9, 0.1], [0.1, 0.9, 0.1, 0.9], ["a", "b", "c", "d"]
    first = FirstAnswers("v0001", p, photographs)
    decision = decide(bad, good, [1, 0, 1, 0], names, names, SETTINGS, first=first)
    assert not decision.promote
    assert message in decision.reasons[0]


def test_decide__without_photographs_there_is_no_second_guard() -> None:
    street = Street(0, rendered=200)
    answers = _answers(np.zeros(street.n, bool), street.y)
    first = FirstAnswers("v0001", answers, street.photographs)
    decision = decide(1 - answers, answers, street.y, street.groups, street.origins, SETTINGS, first=first)
    assert decision.promote
    assert decision.numbers["erosion"] is None


def test_protocol__names_the_margin() -> None:
    assert protocol(GateSettings(erosion_margin=0.1))["erosion"]["margin"] == 0.1
