import math

import pytest

from streetvision_core.errors import VlmAnswerError
from streetvision_core.models.vlm.answers import MAX_OPENERS, AnswerReader, Position, read_answer


def place(token, **probabilities):
    return Position(token, {text.replace("_", " "): math.log(p) for text, p in probabilities.items()})


SURE = place("yes", yes=0.6, Yes=0.1, no=0.2, No=0.1)


@pytest.mark.parametrize(
    ("positions", "p_yes", "mass"),
    [
        ([SURE], 0.7, 1.0),
        ([place("No", yes=0.1, No=0.3, maybe=0.6)], 0.25, 0.4),
        ([place(" yes", _yes=0.3, no=0.1)], 0.75, 0.4),
        ([place("<think>"), place("</think>"), place("\n"), SURE], 0.7, 1.0),
        ([place("<|begin_of_box|>"), SURE], 0.7, 1.0),
        ([place("yes", yes=0.9)], 1.0, 0.9),
        ([place("yes", yes=0.9, yesterday=0.1)], 1.0, 0.9),
        ([Position("yes", {"yes": math.log(0.6)}, floor=math.log(0.2))], 0.75, 0.8),
    ],
)
def test_read_answer__quotient_of_all_spellings(positions, p_yes, mass):
    found = read_answer(positions, 0.05)
    assert found.probability() == pytest.approx(p_yes)
    assert found.mass == pytest.approx(mass)
    assert found.note == ""


@pytest.mark.parametrize(
    ("positions", "note"),
    [
        ([place("The", The=0.5, yes=0.3, no=0.1)], "the first token 'The' (yes and no together: 0.4)"),
        ([place("no", yes=0.01, no=0.02, The=0.9)], "yes and no together have probability 0.03, below 0.05"),
        ([place("<think>"), place("\n")], "only 2 opening tokens and no answer"),
        ([], "only 0 opening tokens and no answer"),
    ],
)
def test_read_answer__no_answer_is_no_number(positions, note):
    found = read_answer(positions, 0.05)
    assert (found.p_yes, found.note) == (None, note)
    with pytest.raises(VlmAnswerError) as caught:
        found.probability()
    assert caught.value.got == note
    assert caught.value.data["mass"] == found.mass


def test_answer_reader__one_token_until_a_template_opens_with_others():
    asked = []

    def ask(tokens):
        asked.append(tokens)
        return [[place("<think>"), place("</think>"), SURE][:tokens]]

    reader = AnswerReader(0.05)
    assert [reader.read(ask)[0].p_yes for _ in range(2)] == pytest.approx([0.7, 0.7])
    assert asked == [1, 1 + MAX_OPENERS, 1 + MAX_OPENERS]
    plain = AnswerReader(0.05)
    assert len(plain.read(lambda tokens: [[SURE]] * 3)) == 3
