import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.engine import Cascade, predict_table
from streetvision_core.cascade.policy import get_policy
from streetvision_core.data.feature_keeper import FeatureKeeper
from streetvision_core.data.feature_store import FeatureStore, make_name
from streetvision_core.data.observe import observe
from streetvision_core.errors import CalibrationError, CalibrationMismatchError, ModelError, PreprocessMismatchError
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.features import extract
from streetvision_core.types import STAGES, Frame, Split, Verdict
from tests.unit.cascade.toy_street import (
    OCR_WIDTH,
    ColourBackbone,
    OrangeDetector,
    toy_models,
    toy_settings,
    with_evidence,
)


def cascade(toy, policy="certified", models=None):
    _, _, head, calibration, _ = toy
    return Cascade(models or toy_models(), head, calibration, get_policy(policy), "v-test", OCR_WIDTH)


def test_predict__keeps_the_features_it_computed(toy, tmp_path):
    _, frames, head, calibration, _ = toy
    store, models = FeatureStore(tmp_path / "features.sqlite"), toy_models()
    keeper = FeatureKeeper(store)
    Cascade(models, head, calibration, get_policy("certified"), "v-test", OCR_WIDTH, keeper).predict(frames[:3])
    keeper.close()
    kept = store.get([frame.sha256 for frame in frames[:3]], make_name(models.backbone, models.preprocessor))
    expected = extract(frames[:3], models.backbone, models.preprocessor)
    np.testing.assert_allclose(np.stack([kept[frame.sha256] for frame in frames[:3]]), expected)


def thresholds(calibration, frames):
    return [calibration.for_size(frame.width, frame.height).threshold for frame in frames]


def models_with(backbone=ColourBackbone, detectors=None):
    base = toy_models()
    return ModelSet(backbone, base.preprocessor, lambda: detectors or base.detectors, None, lambda: base.ocr)


@pytest.mark.parametrize("policy", ["certified", "plan"])
def test_predict__agrees_with_the_table(toy, policy):
    table, frames, head, calibration, _ = toy
    rows = np.flatnonzero(table.in_split(Split.TEST))
    verdicts = cascade(toy, policy).predict([frames[i] for i in rows])
    from_table = predict_table(table.select(rows), head, calibration, policy)
    from_engine = Decisions.of_verdicts(verdicts, thresholds(calibration, [frames[i] for i in rows]))
    assert from_engine.p == pytest.approx(from_table.p, abs=1e-9)
    for name in ("exit_stage", "certified", "ran"):
        assert np.array_equal(getattr(from_engine, name), getattr(from_table, name)), name
    assert len(set(from_table.exit_stage.tolist())) >= 2, "more than one stage must have been at work"


def test_predict__agrees_with_observe(toy, tmp_path):
    """What training stores for a frame is what the engine sees in it."""
    table, frames, head, calibration, _ = toy
    features, evidence = observe(frames[:60], toy_models(), tmp_path / "store", ocr_min_width_pixels=OCR_WIDTH)
    observed = with_evidence(replace(table.select(np.arange(60)), features=features), evidence)
    verdicts = cascade(toy, "plan").predict(frames[:60])
    expected = predict_table(observed, head, calibration, "plan")
    assert [v.p_roadwork for v in verdicts] == pytest.approx(expected.p, abs=1e-6)


def test_predict__one_by_one_is_the_same(toy):
    frames, engine = toy[1][:40], cascade(toy)
    batch, single = engine.predict(frames), [engine.predict([f])[0] for f in frames]
    assert [v.p_roadwork for v in batch] == pytest.approx([v.p_roadwork for v in single])
    assert [v.exit_stage for v in batch] == [v.exit_stage for v in single]


def test_predict__verdicts_are_complete(toy):
    verdicts = cascade(toy).predict(toy[1][:80])
    for verdict in verdicts:
        assert [e.stage for e in verdict.evidence] == [s for s in STAGES if s in {e.stage for e in verdict.evidence}]
        assert verdict.evidence[-1].stage == verdict.exit_stage and verdict.model_version == "v-test"
        assert verdict.seconds > 0 and all(e.seconds >= 0 for e in verdict.evidence)
    assert cascade(toy).predict([]) == []


class BusyBackbone(ColourBackbone):
    """Bright frames take thirty times as long; two at a time, as the embedded profile's backbone does it."""

    threads = 2

    def embed(self, views):
        time.sleep(0.3 if views.mean() > 100 else 0.01)
        return super().embed(views)


def test_predict__seconds_are_the_frames_own_and_add_up_to_what_was_spent(toy):
    engine = cascade(toy, models=models_with(backbone=BusyBackbone))
    bright = Frame.from_pixels(np.full((48, 96, 3), 255, np.uint8), "bright")
    frames = [bright, *(frame for frame in toy[1] if frame.width == 96)][:12]
    engine.predict(frames[:2])
    began = time.perf_counter()
    verdicts = engine.predict(frames)
    spent = time.perf_counter() - began
    seen = [verdict.evidence[0].seconds for verdict in verdicts]
    assert seen[0] > 3 * np.median(seen[1:]), "the slow one pays for itself"
    assert all(v.seconds == pytest.approx(sum(e.seconds for e in v.evidence)) for v in verdicts)
    assert 0.3 <= sum(v.seconds for v in verdicts) <= spent


def test_predict__what_is_noted_on_a_frame_stands_in_its_verdict(toy):
    frame = replace(toy[1][0], notes=("an animation of 4 frames: the first was looked at",))
    (verdict,) = cascade(toy).predict([frame])
    assert verdict.notes == frame.notes
    assert Verdict.from_dict(verdict.to_dict()).notes == frame.notes
    logged = {key: value for key, value in verdict.to_dict().items() if key != "notes"}
    assert Verdict.from_dict(logged).notes == ()


def test_predict__later_stages_run_on_what_remains(toy):
    seen = []

    class Counting(OrangeDetector):
        def detect(self, frames):
            seen.append(len(frames))
            return super().detect(frames)

    detectors = tuple(Counting(d.name, d.miss) for d in toy_models().detectors)
    verdicts = cascade(toy, models=models_with(detectors=detectors)).predict(toy[1][:80])
    ended = sum(v.exit_stage == "classifier" for v in verdicts)
    assert 0 < ended < 80 and sum(seen) == 2 * (80 - ended)


def test_predict__detectors_run_side_by_side(toy):
    gate = threading.Barrier(2, timeout=10)

    class Waiting(OrangeDetector):
        def detect(self, frames):
            gate.wait()
            return super().detect(frames)

    detectors = tuple(Waiting(d.name, d.miss) for d in toy_models().detectors)
    verdicts = cascade(toy, models=models_with(detectors=detectors)).predict(toy[1][:40])
    assert any(v.exit_stage == "detectors" for v in verdicts)


def test_predict__a_bad_frame_never_sinks_the_batch(toy):
    frames = toy[1][:40]
    bad = frames[7].pixels.mean()

    class Fragile(ColourBackbone):
        def embed(self, views):
            if abs(views[0].astype(float).mean() - expected) < 1e-9:
                raise RuntimeError("broken frame")
            return super().embed(views)

    expected = toy_models().preprocessor.views(frames[7].pixels)[0].astype(float).mean()
    good = cascade(toy).predict(frames)
    mixed = cascade(toy, models=models_with(backbone=Fragile)).predict(frames)
    assert bad and mixed[7].evidence == () and not mixed[7].certified and mixed[7].p_roadwork != 0.5
    rest = [i for i in range(40) if i != 7]
    assert [mixed[i].p_roadwork for i in rest] == pytest.approx([good[i].p_roadwork for i in rest])


def test_predict__a_failing_stage_leaves_the_evidence_so_far(toy):
    class Broken(OrangeDetector):
        def detect(self, frames):
            raise RuntimeError("no weights")

    detectors = tuple(Broken(d.name, d.miss) for d in toy_models().detectors)
    verdicts = cascade(toy, models=models_with(detectors=detectors)).predict(toy[1][:40])
    assert all([e.stage for e in v.evidence] == ["classifier"] for v in verdicts)
    table, _, head, calibration, _ = toy
    blind = with_evidence(table, np.full_like(table.evidence, np.nan)).select(np.arange(40))
    expected = predict_table(blind, head, calibration, "certified").p
    assert [v.p_roadwork for v in verdicts] == pytest.approx(expected)


def test_predict__deadline_answers_with_what_it_has(toy):
    class Slow(ColourBackbone):
        def embed(self, views):
            time.sleep(0.002)
            return super().embed(views)

    verdicts = cascade(toy, models=models_with(backbone=Slow)).predict(toy[1][:20], deadline_seconds=0.001)
    assert all(v.exit_stage == "classifier" and len(v.evidence) == 1 for v in verdicts)


def test_cascade__absent_stages_are_recorded_and_not_loaded(toy):
    def never():
        raise AssertionError("a stage that nobody asks for was loaded")

    base = toy_models()
    engine = cascade(toy, models=ModelSet(ColourBackbone, base.preprocessor, lambda: base.detectors, None, never))
    assert "vlm" in engine.stages.absent and "ocr" in engine.stages.absent
    plan = cascade(toy, "plan", models=ModelSet(ColourBackbone, base.preprocessor))
    assert plan.stages.absent == {
        "detectors": "the profile names no detector",
        "vlm": "the profile names no image-text model",
        "ocr": "the profile names no reader",
    }
    assert all(v.exit_stage == "classifier" for v in plan.predict(toy[1][:10]))


def test_from_version__reads_a_folder(toy, tmp_path):
    _, frames, head, calibration, settings = toy
    folder = tmp_path / "v-0007"
    folder.mkdir()
    head.save(folder)
    calibration.save(folder)
    loaded = Cascade.from_version(folder, settings, toy_models())
    assert loaded.version == "v-0007" and loaded.policy.name == settings.cascade.policy
    expected = [v.p_roadwork for v in cascade(toy).predict(frames[:20])]
    assert [v.p_roadwork for v in loaded.predict(frames[:20])] == pytest.approx(expected, abs=1e-5)


def test_from_version__refuses_detectors_that_the_calibration_has_not_seen(toy, tmp_path):
    _, _, head, calibration, settings = toy
    folder = tmp_path / "v-0008"
    folder.mkdir()
    head.save(folder)
    models = toy_models()
    replace(calibration, made_with=replace(calibration.made_with, detectors=models.detector_keys)).save(folder)
    assert Cascade.from_version(folder, settings, models).version == "v-0008"
    with pytest.raises(CalibrationMismatchError, match="run: streetvision calibrate"):
        Cascade.from_version(folder, settings, toy_models(detectors=False))


def test_from_version__says_when_the_threshold_is_for_another_stream(toy, tmp_path, capsys):
    _, _, head, calibration, settings = toy
    head.save(tmp_path)
    calibration.save(tmp_path)
    Cascade.from_version(tmp_path, settings, toy_models())
    assert "another stream" not in capsys.readouterr().err
    scoring = settings.scoring.model_copy(update={"prevalence": 0.02})
    Cascade.from_version(tmp_path, settings.model_copy(update={"scoring": scoring}), toy_models())
    told = capsys.readouterr().err
    assert "another stream" in told and "run: streetvision calibrate" in told and "prevalence 0.02" in told


def test_from_version__missing_parts_are_named(toy, tmp_path):
    with pytest.raises(ModelError, match=r"head\.safetensors"):
        Cascade.from_version(tmp_path, toy_settings(), toy_models())
    toy[2].save(tmp_path)
    with pytest.raises(CalibrationError, match=r"calibration\.json"):
        Cascade.from_version(tmp_path, toy_settings(), toy_models())


def test_cascade__refuses_another_preprocessing(toy):
    _, _, head, calibration, _ = toy
    with pytest.raises(PreprocessMismatchError):
        made = replace(calibration.made_with, preprocessing="native/1")
        Cascade(toy_models(), head, replace(calibration, made_with=made), get_policy("plan"), "v")


def test_predict_watched__tells_what_it_knows_and_leaves_out_what_is_not_wanted(toy):
    table, frames, _, _, _ = toy
    some = [frames[i] for i in np.flatnonzero(table.in_split(Split.TEST))]
    engine = cascade(toy)
    whole = engine.predict(some)
    told = {}
    same = engine.predict_watched(some, lambda i, verdict: told.setdefault(i, verdict) is not None)
    assert [v.p_roadwork for v in same] == [v.p_roadwork for v in whole]
    late = [i for i, verdict in enumerate(whole) if len(verdict.evidence) > 1]
    assert late and set(late) <= set(told)
    assert all(
        [e.stage for e in verdict.evidence] == ["classifier"] and not verdict.certified for verdict in told.values()
    )
    cut = engine.predict_watched(some, lambda i, verdict: False)
    assert all([e.stage for e in verdict.evidence] == ["classifier"] for verdict in cut)
    assert [cut[i].p_roadwork for i in late] == [told[i].p_roadwork for i in late]
