import numpy as np
import pytest

from streetvision_core.errors import EngineError, NotReadyError
from streetvision_core.serving.engine import EngineSlot, predict_checked, predict_each, warm_up
from streetvision_core.serving.stub import StubEngine
from streetvision_core.types import Frame, Verdict


def frame(value):
    return Frame.from_pixels(np.full((4, 4, 3), value, np.uint8), f"grey-{value}")


class PoisonedEngine(StubEngine):
    """Breaks on a batch that holds a black frame."""

    def predict(self, frames):
        if any(f.pixels.max() == 0 for f in frames):
            raise FloatingPointError("black")
        return super().predict(frames)


class ShortEngine(StubEngine):
    def predict(self, frames):
        return super().predict(frames)[1:]


def test_predict_each__one_bad_frame_does_not_take_its_batch_with_it():
    good, bad, also_good = predict_each(PoisonedEngine(), [frame(200), frame(0), frame(10)])
    assert isinstance(bad, EngineError)
    assert isinstance(good, Verdict)
    assert isinstance(also_good, Verdict)
    assert [good.roadwork, also_good.roadwork] == [True, False]


class BlindEngine(StubEngine):
    """Answers with the prior, as a cascade does whose first stage fails."""

    def predict(self, frames):
        return [Verdict(0.4, "classifier", False, (), "blind", "certified", 0.0) for _ in frames]


@pytest.mark.parametrize(
    ("engine", "got"),
    [(PoisonedEngine(), "FloatingPointError from the model"), (ShortEngine(), "0 answers to 1 frames")],
)
def test_predict_checked__names_what_went_wrong(engine, got):
    with pytest.raises(EngineError, match=got):
        predict_checked(engine, [frame(0)])


def test_warm_up__learns_version_and_policy_from_the_answer():
    live = warm_up(StubEngine("v0007"))
    assert (live.version, live.policy) == ("v0007", "stub")


@pytest.mark.parametrize("engine", [ShortEngine(), BlindEngine()])
def test_warm_up__engine_that_cannot_answer_never_becomes_live(engine):
    with pytest.raises(EngineError):
        warm_up(engine)


def test_engine_slot__says_how_to_get_a_model_when_it_has_none():
    swaps = []
    slot = EngineSlot(swaps.append)
    with pytest.raises(NotReadyError, match="run the first day of the loop"):
        slot.require()
    live = warm_up(StubEngine())
    slot.swap(live)
    assert slot.require() is live
    assert swaps == [live]
