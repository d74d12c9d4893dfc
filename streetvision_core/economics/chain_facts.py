"""Subnet 72 as it was last seen: dated, sourced facts, and the reward that follows from them.

Example:
    >>> expected_reward().alpha_per_day
    0.0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Final, Literal, get_args

from streetvision_core.errors import DataError

FactStatus = Literal["known", "measured", "estimated", "unknown"]
"""`known`: read in code or documents; `measured`: sampled from the chain; `estimated`: follows from others."""


@dataclass(frozen=True, slots=True)
class ChainFact:
    """One fact.

    Attributes:
        name: short and stable.
        statement: a plain sentence.
        status: how it is known; `unknown` facts have no value.
        as_of: the day it was true.
        source: where it was read.
        value: the number, if there is one.
        unit: of the number; `share` lies in [0, 1].
    """

    name: str
    statement: str
    status: FactStatus
    as_of: date
    source: str
    value: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        right = self.status in get_args(FactStatus) and bool(self.source)
        right = right and not (self.status == "unknown" and self.value is not None)
        right = right and not (self.unit == "share" and self.value is not None and not 0 <= self.value <= 1)
        if not right:
            raise DataError(
                got=f"the fact {self.name!r}: status {self.status!r}, value {self.value} {self.unit}",
                allowed="a source, a status of known, measured, estimated or unknown; unknown without a value",
                action="say where the number is from, or call it unknown",
            )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "as_of": self.as_of.isoformat()}


FACTS: Final[tuple[ChainFact, ...]] = (
    ChainFact(
        "halted",
        "The validator sends no challenge: forward() returns at once with 'Subnet halted'.",
        "known",
        date(2026, 5, 6),
        "streetvision-subnet, commit 05b830e",
        1.0,
        "share",
    ),
    ChainFact(
        "burn_code",
        "set_weights() gives everything to the owner's UID, which burns it.",
        "known",
        date(2026, 5, 7),
        "streetvision-subnet, commit ce0853c",
        1.0,
        "share",
    ),
    ChainFact(
        "burn",
        "Every sample from 2026-07-12 to 2026-07-24 shows 100 % of the miners' incentive burnt.",
        "measured",
        date(2026, 7, 24),
        "tao.com feed, incentive_burn_pct",
        1.0,
        "share",
    ),
    ChainFact(
        "since",
        "Whether the subnet was taken up again after 2026-07-24 is not known to us.",
        "unknown",
        date(2026, 7, 24),
        "no source found",
    ),
    ChainFact(
        "alpha_out",
        "The subnet emits one alpha per block.",
        "known",
        date(2026, 5, 3),
        "chain page at block 8103882",
        7200.0,
        "alpha per day",
    ),
    ChainFact(
        "miner_share",
        "Miners together get 41 % of the emission, validators 41 %, the owner 18 %.",
        "known",
        date(2026, 5, 3),
        "chain page at block 8103882",
        0.41,
        "share",
    ),
    ChainFact(
        "alpha_price",
        "One alpha cost TAO 0.0031 at 194 USD per TAO.",
        "measured",
        date(2026, 7, 24),
        "public subnet data feed",
        0.60,
        "usd per alpha",
    ),
    ChainFact(
        "registration",
        "Registering a miner burned between 0.086 and 0.103 TAO.",
        "measured",
        date(2026, 5, 3),
        "chain page at block 8103882",
        0.103,
        "tao",
    ),
    ChainFact(
        "timeout",
        "A validator waits 9 seconds for an answer, not 300 ms.",
        "known",
        date(2026, 5, 3),
        "natix/validator/config.py",
        9.0,
        "seconds",
    ),
    ChainFact(
        "decay",
        "The 90-day decay of a model's reward is a claim of the README; no validator code does so.",
        "known",
        date(2025, 11, 30),
        "streetvision-subnet, commit 215447a",
    ),
)


@dataclass(frozen=True, slots=True)
class ExpectedReward:
    """What a miner can expect.

    Attributes:
        alpha_per_day: alpha; None if it cannot be known.
        usd_per_day: at the last price seen; None if it cannot be known.
        status: how well it is known.
        as_of: the oldest day of the facts it rests on.
        reasons: plain sentences.
    """

    alpha_per_day: float | None
    usd_per_day: float | None
    status: FactStatus
    as_of: date
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "as_of": self.as_of.isoformat(), "reasons": list(self.reasons)}


def fact(name: str, facts: Sequence[ChainFact] = FACTS) -> ChainFact:
    """The fact of a name.

    Raises:
        DataError: there is none.
    """
    for found in facts:
        if found.name == name:
            return found
    raise DataError(f"the fact {name!r}", ", ".join(f.name for f in facts), "name one of them")


def expected_reward(incentive_share: float = 1 / 256, facts: Sequence[ChainFact] = FACTS) -> ExpectedReward:
    """What a miner earns a day under the facts: nothing while the subnet is halted or its incentive burnt.

    Args:
        incentive_share: the miner's share of all miners' incentive, in [0, 1]; an equal one of 256 unless given.
        facts: the facts to use.

    Raises:
        DataError: a share outside [0, 1].
    """
    if not 0 <= incentive_share <= 1:
        raise DataError(
            f"an incentive share of {incentive_share}", "a number in [0, 1]", "give a share, not a per cent"
        )
    zero = [f for f in (fact("halted", facts), fact("burn", facts)) if f.value == 1.0]
    if zero:
        reasons = (*(_dated(f) for f in zero), _dated(fact("since", facts)))
        return ExpectedReward(0.0, 0.0, "known", min(f.as_of for f in zero), reasons)
    used = [fact(name, facts) for name in ("burn", "alpha_out", "miner_share", "alpha_price")]
    as_of = min(f.as_of for f in used)
    unknown = [f for f in used if f.value is None]
    if unknown:
        return ExpectedReward(None, None, "unknown", as_of, tuple(_dated(f) for f in unknown))
    burn, out, share, price = (f.value or 0.0 for f in used)
    alpha = out * share * (1 - burn) * incentive_share
    return ExpectedReward(alpha, alpha * price, "estimated", as_of, tuple(_dated(f) for f in used))


def with_value(
    name: str,
    value: float | None,
    status: FactStatus,
    as_of: date,
    source: str,
    facts: Sequence[ChainFact] = FACTS,
) -> tuple[ChainFact, ...]:
    """The facts with one of them renewed, e.g. from a reading of the chain."""
    old = fact(name, facts)
    statement = f"{name} was {value} {old.unit}".strip() if value is not None else f"{name} is not known"
    new = replace(old, statement=f"{statement}.", value=value, status=status, as_of=as_of, source=source)
    return tuple(new if f.name == name else f for f in facts)


def _dated(item: ChainFact) -> str:
    return f"{item.statement} ({item.status}, {item.as_of.isoformat()}, {item.source})"
