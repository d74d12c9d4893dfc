"""Road-work words on signs, English and German, forgiving what OCR commonly misreads.

Words are first made canonical (R0AD -> ROAD, ROADWORKAHEAD -> ROAD WORK AHEAD), then phrases are sought at word
borders; a phrase that says the work ends is counted apart.

Example:
    >>> count_keywords(["R0AD", "WORK", "AHEAD"])
    KeywordCount(positive=1, negated=0)
    >>> count_keywords(["END ROADWORK"])
    KeywordCount(positive=0, negated=1)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_CONFUSED: Final = str.maketrans({"0": "O", "Q": "O", "D": "O", "1": "I", "L": "I", "|": "I", "!": "I"})
_DIGITS: Final = str.maketrans({"5": "S", "8": "B", "6": "G", "2": "Z", "4": "A"})
_FUZZY_LENGTH: Final = 6
"""Words this long may differ by one letter; shorter ones would turn into other words."""

_WORKS: Final = r"(?:ROAD|STREET|BRIDGE|UTILITY|HIGHWAY|SHOULDER|MEDIAN|SIDEWALK)"
_PHRASES: Final[tuple[str, ...]] = (
    rf"{_WORKS} WORKS?(?: AHEAD)?",
    r"WORKS? (?:ZONE|AREA)S?(?: AHEAD)?|WORKS? AHEAD",
    r"(?:ROAD|BRIDGE|HIGHWAY) CONSTRUCTION(?: (?:AHEAD|ZONE|AREA))?",
    r"CONSTRUCTION (?:AHEAD|ZONE|AREA|SITE|ENTRANCE)",
    r"(?:MEN|WORKERS|CREWS?) (?:AT WORK|WORKING)|(?:SURVEY|MAINTENANCE) CREWS?",
    r"(?:ROAD|LANES?|STREET|SIDEWALK|BRIDGE|RAMP|SHOULDER) CLOSED(?: AHEAD)?",
    r"CLOSED TO (?:THRU|THROUGH) TRAFFIC",
    r"DETOURS?(?: AHEAD)?",
    r"DIVERTED TRAFFIC|DIVERSION(?: AHEAD)?",
    r"FLAGGERS?(?: AHEAD)?",
    r"ONE LANE (?:ROAD|BRIDGE)(?: AHEAD)?",
    r"UNEVEN (?:LANES?|PAVEMENT)",
    r"BAUSTELLEN?(?:AUSFAHRT|EINFAHRT|VERKEHR)?|BAUARBEITEN|STRASSENARBEITEN|STRASSENBAU|GLEISARBEITEN",
    r"UMLEITUNG(?:EN)?",
    r"VOLLSPERRUNG|STRASSE GESPERRT",
)
_BEFORE: Final = r"(?:(?<!DEAD )ENDS?(?: OF)?(?: THE)?|NO|ENDE(?: DER| DES)?|KEINE)"
_AFTER: Final = r"(?:ENDS|ENDED|ENDE|ENDET|COMPLETED?|BEENDET|AUFGEHOBEN)"
_PATTERN: Final = re.compile(rf"\b(?P<before>{_BEFORE} )?(?:{'|'.join(_PHRASES)})(?P<after> {_AFTER})?\b")
_VOCABULARY: Final = """
AHEAD AREA AREAS AT AUFGEHOBEN BAUARBEITEN BAUSTELLE BAUSTELLEN BAUSTELLENAUSFAHRT BAUSTELLENEINFAHRT
BAUSTELLENVERKEHR BEENDET BRIDGE CLOSED COMPLETE COMPLETED CONSTRUCTION CREW CREWS DEAD DER DETOUR DETOURS
DIVERSION DIVERTED END ENDE ENDED ENDET ENDS ENTRANCE FLAGGER FLAGGERS GESPERRT GLEISARBEITEN HIGHWAY KEINE
LANE LANES MAINTENANCE MEDIAN MEN NO OF ONE PAVEMENT RAMP ROAD SHOULDER SIDEWALK SITE STRASSE STRASSENARBEITEN
STRASSENBAU STREET SURVEY THE THROUGH THRU TO TRAFFIC UMLEITUNG UMLEITUNGEN UNEVEN UTILITY VOLLSPERRUNG WORK
WORKERS WORKING WORKS ZONE ZONES
"""


@dataclass(frozen=True, slots=True)
class KeywordCount:
    """How many road-work phrases stand, and how many say that the work ends."""

    positive: int
    negated: int


def count_keywords(texts: Sequence[str]) -> KeywordCount:
    """Counts road-work phrases.

    Args:
        texts: pieces of text in reading order; a phrase may run over several pieces, as signs break lines.
    """
    line = " ".join(_canonical(word) for text in texts for word in _split(text))
    matches = list(_PATTERN.finditer(line))
    negated = sum(1 for m in matches if m["before"] or m["after"])
    return KeywordCount(positive=len(matches) - negated, negated=negated)


def _split(text: str) -> list[str]:
    upper = text.upper().replace("Ä", "AE").replace("Ö", "OE").replace("Ü", "UE")  # upper() makes SS of a sharp s
    plain = unicodedata.normalize("NFKD", upper).encode("ascii", "ignore").decode()
    return re.findall(r"[A-Z0-9|!]+", plain)


def _fold(word: str) -> str:
    return word.replace("VV", "W").translate(_CONFUSED).translate(_DIGITS)


_FOLDED: Final = {_fold(word): word for word in _VOCABULARY.split()}


@lru_cache(maxsize=4096)
def _canonical(word: str) -> str:
    folded = _fold(word)
    if folded in _FOLDED:
        return _FOLDED[folded]
    glued = _unglue(folded)
    if glued is not None:
        return " ".join(glued)
    if len(folded) >= _FUZZY_LENGTH:
        for known, plain in _FOLDED.items():
            if len(known) >= _FUZZY_LENGTH and _one_edit(folded, known):
                return plain
    return word


def _unglue(folded: str) -> list[str] | None:
    """Splits a run such as ROADWORKAHEAD wholly into known words, or says None."""
    best: list[list[str] | None] = [[]] + [None] * len(folded)
    for end in range(1, len(folded) + 1):
        for start in range(end):
            head, word = best[start], _FOLDED.get(folded[start:end])
            if head is not None and word is not None and (best[end] is None or len(head) + 1 < len(best[end] or [])):
                best[end] = [*head, word]
    return best[-1]


def _one_edit(a: str, b: str) -> bool:
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (p, q) in enumerate(zip(a, b, strict=False)) if p != q), min(len(a), len(b)))
    if len(a) == len(b):
        return a[start + 1 :] == b[start + 1 :]
    return a[start + 1 :] == b[start:] if len(a) > len(b) else a[start:] == b[start + 1 :]
