import pytest

from streetvision_core.data.starter import load_starter
from streetvision_core.data.worlds import world_of
from streetvision_core.learning.rendered import RENDERED
from streetvision_core.mining import diffusion, synthesize
from streetvision_core.mining.stream import day_stream, heldout_stream


@pytest.mark.parametrize("origin", ["http", "stream: http", "my photos", "Udacity CarND", "rendered-by-hand.jpg"])
def test_world_of__photographs(origin):
    assert world_of(origin) == "real"


def test_world_of__everything_that_the_loop_renders():
    streamed = {query.origin for query in (*list(day_stream(0, 24)), *list(heldout_stream(1)))}
    assert len(streamed) == 2
    made = {*streamed, synthesize.ORIGIN, diffusion.ORIGIN}
    assert {world_of(name) for origin in made for name in (origin, f"stream: {origin}")} == {"rendered"}
    assert world_of(RENDERED) == "rendered"


def test_world_of__the_starter_pack():
    pack = load_starter()
    assert {world_of(origin) for origin in pack.table.origins} == {"real"}
    assert {world_of(origin) for origin in pack.composed.origins} == {"rendered"}
