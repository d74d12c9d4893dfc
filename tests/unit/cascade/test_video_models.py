"""Videos with the big profiles' own model classes, on small random checkpoints in the local store."""

import pytest

from streetvision_core.cascade.engine import Cascade
from streetvision_core.cascade.policy import get_policy
from streetvision_core.cascade.video import Query, predict_video
from streetvision_core.errors import ModelError, VideoSearchError
from streetvision_core.images.video import Sampling, read_clip
from streetvision_core.models.factory import ModelSet, load_models
from streetvision_core.models.frame_index import FrameIndex
from streetvision_core.models.hub import folder_of, record
from streetvision_core.settings import load_settings
from tests import tiny_checkpoints
from tests.unit.cascade.test_video import film
from tests.unit.cascade.toy_street import OCR_WIDTH, ColourBackbone, toy_models

pytestmark = pytest.mark.slow
GLM, MOLMO, SIGLIP, CLIP = (
    "zai-org/GLM-4.6V-Flash",
    "allenai/Molmo2-8B",
    "google/siglip2-base-patch16-224",
    "tiny/clip-1",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Settings of a profile whose folder of models holds tiny ones under the real names."""
    root = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SV_MODELS__FOLDER", str(root))
        patch.setenv("SV_MODELS__DEVICE", "cpu")
        patch.setenv("SV_VLM__MAX_SIDE_PIXELS", "112")
        patch.setenv("SV_VLM__FOUR_BIT", "false")
        settings = load_settings("light")
    makers = {GLM: tiny_checkpoints.glm, MOLMO: tiny_checkpoints.molmo}
    makers |= {SIGLIP: tiny_checkpoints.siglip, CLIP: tiny_checkpoints.clip}
    for name, make in makers.items():
        make(folder_of(name, settings))
        record(name, folder_of(name, settings))
    babbling = folder_of("zai-org/GLM-4-babble-V", settings)
    tiny_checkpoints.glm(babbling, taught=False)
    record("zai-org/GLM-4-babble-V", babbling)
    return settings


@pytest.fixture(scope="module")
def cascade_with(toy, store):
    """The toy street's cascade with the models that a changed profile names for videos."""
    _, _, head, calibration, _ = toy

    def make(**names):
        models = store.models.model_copy(update=names)
        named, base = load_models(store.model_copy(update={"models": models})), toy_models()
        both = ModelSet(
            ColourBackbone, base.preprocessor, lambda: base.detectors, ocr=lambda: base.ocr,
            video_vlm=lambda: named.video_vlm, image_text=lambda: named.image_text,
        )  # fmt: skip
        return Cascade(both, head, calibration, get_policy("certified"), "v-test", OCR_WIDTH)

    return make


@pytest.mark.parametrize("name", [MOLMO, GLM])
def test_predict_video__the_model_is_shown_eight_frames_of_a_clip(cascade_with, name):
    cascade, video = cascade_with(video_vlm=name), film(6, (3, 6))
    answer = predict_video(video, cascade)
    (opinion,) = answer.opinions
    shown = read_clip(video, Sampling(video.info.seconds / 8, start_seconds=0.0, end_seconds=video.info.seconds))
    assert (opinion.model, opinion.frames) == (name, 8)
    assert opinion.p_roadwork == pytest.approx(
        cascade.models.video_vlm.answer(shown.frames[:8]).probability(), abs=1e-5
    )
    alone = predict_video(video, cascade_with(video_vlm=None, vlm=None))
    assert not alone.opinions
    assert [m.smoothed for m in answer.timeline] != [m.smoothed for m in alone.timeline]


@pytest.mark.parametrize("name", [MOLMO, GLM])
def test_predict_video__the_model_is_asked_of_each_stretch_of_a_long_video(cascade_with, name):
    answer = predict_video(film(60, (30, 37)), cascade_with(video_vlm=name))
    assert answer.mode == "search"
    assert [(o.start_seconds, o.end_seconds) for o in answer.opinions] == list(answer.examined)
    assert all(0 < o.p_roadwork < 1 for o in answer.opinions)


def test_predict_video__a_model_that_babbles_is_told(cascade_with):
    answer = predict_video(film(6, (3, 6)), cascade_with(video_vlm="zai-org/GLM-4-babble-V"))
    assert not answer.opinions
    assert any("could not be asked" in note and "first token" in note for note in answer.notes)


@pytest.mark.parametrize("name", [SIGLIP, CLIP])
def test_predict_video__words_search_through_the_profiles_encoder(cascade_with, tmp_path, name):
    cascade, video = cascade_with(image_text=name, video_vlm=None), film(40, (21, 28))
    found = predict_video(video, cascade, Query(text="cones on the road"), tmp_path)
    assert found.mode == "search" and len(found.screening) == 20
    assert any("likeness to 'cones on the road'" in note for note in found.notes)
    encoder = cascade.models.image_text
    assert [FrameIndex.load(path).encoder for path in tmp_path.glob("*.npz")] == [encoder.name]
    example = read_clip(film(2, (0, 2)), Sampling(9.0)).frames
    like = predict_video(video, cascade, Query(examples=example), tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 1  # one index serves words and examples
    best = max(like.screening, key=lambda scored: scored[1])
    assert 21 <= best[0] <= 28


def test_load_settings__the_big_profiles_name_an_encoder_and_embedded_refuses_words(cascade_with):
    assert [load_settings(p).models.image_text for p in ("light", "platinum", "embedded")] == [SIGLIP, SIGLIP, None]
    with pytest.raises(VideoSearchError, match="--like IMAGE"):
        predict_video(film(6, (3, 6)), cascade_with(image_text=None), Query(text="cones"))
    with pytest.raises(ModelError, match="streetvision models verify"):
        predict_video(film(6, (3, 6)), cascade_with(image_text="google/siglip-absent"), Query(text="cones"))
