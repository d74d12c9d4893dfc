from __future__ import annotations

import json
from datetime import date

import pytest

from streetvision_core.economics.chain_facts import FACTS, ChainFact, ExpectedReward, expected_reward, fact, with_value
from streetvision_core.errors import DataError

DAY = date(2027, 1, 1)


def _renewed(**values: float | None) -> tuple[ChainFact, ...]:
    facts = FACTS
    for name, value in values.items():
        status = "unknown" if value is None else "measured"
        new = {f.name: f for f in with_value(name, value, status, DAY, "a test")}
        facts = tuple(new[f.name] if f.name == name else f for f in facts)
    return facts


def test_expected_reward__is_zero_today() -> None:
    reward = expected_reward()
    assert (reward.alpha_per_day, reward.usd_per_day, reward.status) == (0.0, 0.0, "known")
    text = " ".join(reward.reasons)
    assert "2026-05-06" in text
    assert "100 % of the miners' incentive burnt" in text
    assert "not known to us" in text
    json.dumps(reward.to_dict())


@pytest.mark.parametrize("halted", [0.0, None])
def test_expected_reward__either_fact_alone_makes_it_zero(halted: float | None) -> None:
    assert expected_reward(facts=_renewed(halted=halted)).alpha_per_day == 0.0
    assert expected_reward(facts=_renewed(burn=0.0)).alpha_per_day == 0.0


def test_expected_reward__arithmetic_if_it_were_taken_up() -> None:
    reward = expected_reward(0.01, _renewed(halted=0.0, burn=0.5))
    assert reward.alpha_per_day == pytest.approx(7200 * 0.41 * 0.5 * 0.01)
    assert reward.usd_per_day == pytest.approx(7200 * 0.41 * 0.5 * 0.01 * 0.60)
    assert (reward.status, reward.as_of) == ("estimated", date(2026, 5, 3))


def test_expected_reward__unknown_stays_unknown() -> None:
    reward = expected_reward(facts=_renewed(halted=0.0, burn=None))
    assert (reward.alpha_per_day, reward.usd_per_day, reward.status) == (None, None, "unknown")


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_expected_reward__share_is_a_share(share: float) -> None:
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        expected_reward(share)


def test_facts__are_sourced_dated_and_named_once() -> None:
    assert len({f.name for f in FACTS}) == len(FACTS)
    for item in FACTS:
        assert item.source
        assert item.statement.endswith(".")
        assert json.dumps(item.to_dict())
        assert (item.status == "unknown") <= (item.value is None)
    assert fact("timeout").value == 9.0
    with pytest.raises(DataError, match="burn"):
        fact("riches")


@pytest.mark.parametrize(
    ("status", "value", "unit", "source"),
    [("hoped", 1.0, "", "x"), ("unknown", 1.0, "", "x"), ("known", 1.5, "share", "x"), ("known", 1.0, "", "")],
)
def test_chain_fact__refuses(status: str, value: float, unit: str, source: str) -> None:
    with pytest.raises(DataError, match="say where the number is from"):
        ChainFact("x", "A fact.", status, DAY, source, value, unit)  # type: ignore[arg-type]


def test_with_value__renews_one_fact() -> None:
    facts = with_value("burn", 0.9, "measured", DAY, "metagraph")
    assert fact("burn", facts).value == 0.9
    assert fact("halted", facts) == fact("halted")
    assert isinstance(expected_reward(facts=facts), ExpectedReward)
