import pytest

from streetvision_core.models.keywords import KeywordCount, count_keywords

POSITIVE = [
    ["ROAD WORK AHEAD"],
    ["ROAD", "WORK", "AHEAD"],
    ["R0AD", "W0RK", "AHEAO"],
    ["ROADWORKAHEAD"],
    ["roadwork ahead"],
    ["Road Works"],
    ["VVORK ZONE"],
    ["ROAD WORK", "NEXT 5 MILES"],
    ["BRIDGE WORK 500 FT"],
    ["UTILITY WORK AHEAD"],
    ["LANE CLOSED"],
    ["ROAD CL0SED"],
    ["DETOUR"],
    ["DET0UR"],
    ["FLAGGER AHEAD"],
    ["CONSTRUCTI0N AHEAD"],
    ["MEN AT WORK"],
    ["DEAD END", "ROAD WORK AHEAD"],
    ["Baustelle"],
    ["BAUSTELLENAUSFAHRT"],
    ["UMLEITUNG"],
    ["UMLEITUNC"],
    ["Straße gesperrt"],
]
NEGATED = [
    ["END ROAD WORK"],
    ["END", "ROAD WORK"],
    ["END OF ROADWORKS"],
    ["ENDROADWORK"],
    ["ROAD WORK ENDS"],
    ["ROADWORKS ENDED"],
    ["NO ROAD WORK"],
    ["END DETOUR"],
    ["Ende der Baustelle"],
    ["BAUSTELLE ENDE"],
    ["UMLEITUNG", "ENDE"],
]
NOTHING = [
    [],
    [""],
    ["STOP"],
    ["50"],
    ["NETWORK AHEAD"],
    ["ROADWORKER"],
    ["HOMEWORK ZONE"],
    ["ABBEY ROAD"],
    ["DEAD END"],
    ["ACME CONSTRUCTION CO"],
    ["LEFT LANE ENDS"],
    ["Straßenbahn"],
    ["\u9053\u8def"],
]


@pytest.mark.parametrize("texts", POSITIVE, ids=" ".join)
def test_count_keywords__work_announced(texts: list[str]) -> None:
    assert count_keywords(texts) == KeywordCount(1, 0)


@pytest.mark.parametrize("texts", NEGATED, ids=" ".join)
def test_count_keywords__work_ends(texts: list[str]) -> None:
    assert count_keywords(texts) == KeywordCount(0, 1)


@pytest.mark.parametrize("texts", NOTHING, ids=" ".join)
def test_count_keywords__other_text(texts: list[str]) -> None:
    assert count_keywords(texts) == KeywordCount(0, 0)


def test_count_keywords__several_signs() -> None:
    assert count_keywords(["ROAD WORK AHEAD", "DETOUR", "END ROAD WORK"]) == KeywordCount(2, 1)
