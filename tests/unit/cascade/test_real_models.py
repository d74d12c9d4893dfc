"""The embedded profile's own models: what the engine sees in a frame is what training stored for it."""

import numpy as np
import pytest

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.engine import Cascade, predict_table
from streetvision_core.cascade.policy import POLICIES, get_policy
from streetvision_core.cascade.video import predict_video
from streetvision_core.data.observe import observe
from streetvision_core.data.scenes import drive, render
from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.images.video import Sampling, open_video, read_clip
from streetvision_core.images.video_writing import encode_video
from streetvision_core.models.factory import load_models
from streetvision_core.settings import load_settings
from streetvision_core.training.heads import train_heads
from streetvision_core.training.spec import CandidateSpec


@pytest.fixture(scope="module")
def champion():
    """Settings, models, and the quickest head and calibration the starter pack gives."""
    settings, table = load_settings("embedded"), load_starter().table
    specs = [CandidateSpec("baseline", weight_decay=0.01)]
    head = train_heads(table, settings.training, 0, specs=specs).head
    return settings, load_models(settings), head, fit_cascade(table, head, settings)


@pytest.fixture(scope="module")
def observed(champion, tmp_path_factory):
    """Frames and their rows."""
    settings, models, head, _ = champion
    frames = [render(seed, roadwork=bool(seed % 2), width=w).frame for seed, w in enumerate((480, 480, 320, 480))]
    store, least = tmp_path_factory.mktemp("observed") / "store", settings.cascade.ocr_min_width_pixels
    features, evidence = observe(frames, models, store, ocr_min_width_pixels=least)
    made = {"backbone": head.backbone, "preprocessing": head.preprocessing}
    return frames, FeatureTable.build(features, **made, evidence=evidence)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_predict__real_models_agree_with_the_table(champion, observed, policy):
    (_, models, head, calibration), (frames, table) = champion, observed
    engine = Cascade(models, head, calibration, get_policy(policy), "v")
    verdicts = engine.predict(frames)
    expected = predict_table(table, head, calibration, policy)
    found = Decisions.of_verdicts(verdicts)
    assert found.p == pytest.approx(expected.p, abs=1e-3)
    assert np.array_equal(found.exit_stage, expected.exit_stage) and np.array_equal(found.ran, expected.ran)
    assert "vlm" in engine.stages.absent and all(v.p_roadwork != 0.5 for v in verdicts)


@pytest.fixture
def cascade(champion):
    _, models, head, calibration = champion
    return Cascade(models, head, calibration, get_policy("certified"), "v")


@pytest.mark.slow
def test_predict_video__answers_what_the_cascade_answers_to_the_same_frames(champion, cascade):
    pytest.importorskip("av")
    pixels = [scene.frame.pixels for scene in drive(7, 4, fps=2)]
    video = open_video(encode_video(pixels, fps=2), "drive.mp4", champion[0].video)
    answer = predict_video(video, cascade)
    clip = read_clip(video, Sampling(champion[0].video.direct_step_seconds))
    expected = [verdict.p_roadwork for verdict in cascade.predict(clip.frames)]
    assert answer.mode == "direct"
    assert [m.verdict.p_roadwork for m in answer.timeline] == pytest.approx(expected, abs=1e-6)
    assert [m.seconds for m in answer.timeline] == pytest.approx(clip.timestamps_seconds)


@pytest.mark.slow
@pytest.mark.streets
def test_predict_video__a_real_dashcam_clip_that_the_head_has_seen(champion, cascade):
    """No measure of quality, for its frames taught the head; it shows that a real file goes the whole way."""
    pytest.importorskip("av")
    path = champion[0].paths.resolve("streets") / "roadwork-clips" / "videos" / "boston.mp4"
    if not path.is_file():
        pytest.skip("the clips are not beside the project")
    answer = predict_video(open_video(path, limits=champion[0].video), cascade)
    assert answer.mode == "keyframes" and 15 <= len(answer.timeline) <= 20
    found = sum(segment.end_seconds - segment.start_seconds for segment in answer.segments)
    assert found > 10, "15 of its 16 labelled seconds show road work"
