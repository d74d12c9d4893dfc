"""From the first token's log-probabilities to P(yes) / (P(yes) + P(no)), and the checks that make it an answer.

A chat template may open the turn with thinking or box tokens; the answer is the first token after them, and it must
really be a yes or a no. Where it is something else, or yes and no together hold next to no probability, there is no
answer: the quotient of two tiny numbers says nothing.

Example:
    >>> read_answer([Position("yes", {"yes": -0.5, "no": -1.5, "Yes": -3.0})], min_mass=0.05).p_yes
    0.746...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streetvision_core.errors import VlmAnswerError

YES: Final = ("yes", "Yes")
NO: Final = ("no", "No")
OPENERS: Final = ("<think>", "</think>", "<|begin_of_box|>", "")
"""Tokens a turn may open with before the answer, whitespace stripped."""
MAX_OPENERS: Final = 4


@dataclass(frozen=True, slots=True)
class Position:
    """One generated token.

    Attributes:
        token: its text, as it was generated (greedily).
        logprobs: natural log-probabilities of candidate tokens at this place, by text.
        floor: what no candidate that is not listed can exceed; minus infinity where every yes and no is listed.
    """

    token: str
    logprobs: Mapping[str, float]
    floor: float = -math.inf


@dataclass(frozen=True, slots=True)
class YesNo:
    """What an image-text model said.

    Attributes:
        p_yes: P(yes) / (P(yes) + P(no)); None where there was no answer.
        mass: P(yes) + P(no), in [0, 1].
        token: the token that was read.
        note: why there is no answer; empty where there is one.
    """

    p_yes: float | None
    mass: float
    token: str
    note: str = ""

    def probability(self) -> float:
        """`p_yes`, or an error.

        Raises:
            VlmAnswerError: the model did not answer yes or no.
        """
        if self.p_yes is None:
            raise VlmAnswerError(
                got=self.note,
                allowed="a yes or a no as the first word",
                action="check that thinking is off and the question asks for one word; go on without this answer",
                token=self.token,
                mass=self.mass,
            )
        return self.p_yes

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"p_yes": self.p_yes, "mass": round(self.mass, 6), "token": self.token, "note": self.note}


def read_answer(positions: Sequence[Position], min_mass: float) -> YesNo:
    """Reads the first token that is no opener.

    Args:
        positions: the generated tokens in order.
        min_mass: least P(yes) + P(no) that counts as an answer.
    """
    place = next((p for p in positions if not is_opener(p.token)), None)
    if place is None:
        return YesNo(None, 0.0, "", f"only {len(positions)} opening tokens and no answer")
    yes, no = _mass(place, YES), _mass(place, NO)
    mass = min(1.0, yes + no)
    if place.token.strip() not in (*YES, *NO):
        return YesNo(None, mass, place.token, f"the first token {place.token!r} (yes and no together: {mass:.3g})")
    if mass < min_mass:
        return YesNo(None, mass, place.token, f"yes and no together have probability {mass:.3g}, below {min_mass:g}")
    return YesNo(yes / (yes + no), mass, place.token)


class AnswerReader:
    """Asks for one token, and for a few more from then on where a template turns out to open with others.

    Args:
        min_mass: see `read_answer`.
    """

    def __init__(self, min_mass: float) -> None:
        self._min_mass = min_mass
        self._tokens = 1

    def read(self, ask: Callable[[int], Sequence[Sequence[Position]]]) -> list[YesNo]:
        """Reads the answers to a batch.

        Args:
            ask: generates that many tokens for each of the batch.
        """
        batch = ask(self._tokens)
        if self._tokens == 1 and any(is_opener(p.token) for positions in batch for p in positions):
            self._tokens = 1 + MAX_OPENERS
            batch = ask(self._tokens)
        return [read_answer(positions, self._min_mass) for positions in batch]


def is_opener(token: str) -> bool:
    """Whether a token may stand before the answer."""
    return token.strip() in OPENERS


def _mass(place: Position, words: Sequence[str]) -> float:
    """Probability of a word's spellings; of one that is not listed, the most it can be, which claims the least."""
    listed = [value for text, value in place.logprobs.items() if text.strip() in words]
    return sum(math.exp(value) for value in listed or [place.floor])
