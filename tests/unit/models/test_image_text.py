"""A small random SigLIP of the real class, saved here and loaded as a pulled one would be."""

import numpy as np
import pytest

from streetvision_core.errors import ModelError
from streetvision_core.models.factory import load_models
from streetvision_core.models.hub import folder_of, record
from streetvision_core.settings import load_settings
from streetvision_core.types import Frame
from tests import tiny_checkpoints

pytestmark = pytest.mark.slow
NAME = "tests/siglip-tiny"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    base = load_settings("embedded")
    home = tmp_path_factory.mktemp("home")
    made = base.model_copy(
        update={
            "paths": base.paths.model_copy(update={"home": home}),
            "models": base.models.model_copy(update={"image_text": NAME}),
        }
    )
    folder = folder_of(NAME, made)
    tiny_checkpoints.siglip(folder)
    record(NAME, folder)
    return made


def test_encode__frames_and_words_share_a_space(settings):
    encoder = load_models(settings).image_text
    frames = [Frame.from_pixels(np.full((40, 60, 3), level, np.uint8), "x") for level in (10, 200)]
    rows, words = encoder.encode(frames), encoder.encode_text("cones on the road")
    assert rows.shape == (2, 16) and words.shape == (1, 16) and rows.dtype == np.float32
    assert np.isfinite(rows).all() and not np.allclose(rows[0], rows[1])
    assert not np.allclose(words, encoder.encode_text("the road"))
    assert np.allclose(rows[:1], encoder.encode(frames[:1]), atol=1e-5)


def test_image_text__a_model_that_is_not_there_is_named(settings):
    absent = settings.model_copy(
        update={"models": settings.models.model_copy(update={"image_text": "google/siglip2-base-patch16-224"})}
    )
    with pytest.raises(ModelError, match="siglip2"):
        load_models(absent).image_text.encode_text("cones")


def test_image_text__the_embedded_profile_has_none():
    assert load_models(load_settings("embedded")).image_text is None
