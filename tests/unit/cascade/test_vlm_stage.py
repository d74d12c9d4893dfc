"""Stage 3 in the cascade: its answers are calibrated and used; where it does not answer, everything goes on without."""

import numpy as np
import pytest

from streetvision_core.calibration.stage import StageCalibrator
from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.engine import Cascade, predict_table
from streetvision_core.cascade.policy import get_policy
from streetvision_core.data.observe import observe
from streetvision_core.errors import DataError, VlmServerError
from streetvision_core.models.evidence import EVIDENCE_NAMES, vector, vlm_evidence, widen
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.vlm import YesNo
from streetvision_core.types import Split
from tests.unit.cascade.test_policy import evidence_row, logit
from tests.unit.cascade.toy_street import OCR_WIDTH, toy_frame, toy_models, with_evidence


class ToyVlm:
    """Counts orange pixels; silent on one frame in ten; or down."""

    name = "toy-vlm"

    def __init__(self, down=False):
        self.down, self.asked = down, 0

    def answer(self, frames, question=None):
        return self.answer_each(frames)[0]

    def answer_each(self, frames, question=None):
        self.asked += len(frames)
        if self.down:
            raise VlmServerError("no answer within 6 s", "a server", "start it", down=True)
        return [self._one(frame) for frame in frames]

    def _one(self, frame):
        rng = np.random.default_rng(int(frame.sha256[:8], 16))
        if rng.random() < 0.1:
            return YesNo(None, 0.01, "The", "the first token 'The'")
        x = frame.pixels.astype(int)
        orange = ((x[..., 0] > 200) & (x[..., 2] < 90)).sum()
        return YesNo(float(1 / (1 + np.exp(-(orange - 45) / 12 + rng.normal(0, 0.7)))), 0.9, "yes")


def models_with(vlm):
    base = toy_models()
    return ModelSet(lambda: base.backbone, base.preprocessor, lambda: base.detectors, lambda: vlm, lambda: base.ocr)


@pytest.fixture(scope="module")
def seen(toy):
    """The toy table with the image-text model's evidence, and the calibration that knows it."""
    table, frames, head, _, settings = toy
    evidence = table.evidence.copy()
    for row, answer in zip(evidence, ToyVlm().answer_each(frames), strict=True):
        known = vector([vlm_evidence(answer, 0.0)])
        row[:] = np.where(np.isfinite(known), known, row)
    with_vlm = with_evidence(table, evidence)
    return with_vlm, fit_cascade(with_vlm, head, settings)


def test_fit_cascade__calibrates_stage_3(toy, seen):
    _, calibration = seen
    assert "vlm" in calibration.stages and "vlm" in calibration.bands
    fusion = calibration.stages["vlm"].fusion
    assert fusion.weights[fusion.names.index("vlm.yes")] > 0
    assert "vlm" in toy[3].absent, "without its evidence the stage is absent, with a reason"


@pytest.mark.parametrize("policy", ["certified", "plan"])
def test_predict__engine_and_table_agree(toy, seen, policy):
    _, frames, head, *_ = toy
    table, calibration = seen
    rows = np.flatnonzero(table.in_split(Split.TEST))
    vlm = ToyVlm()
    engine = Cascade(models_with(vlm), head, calibration, get_policy(policy), "v", OCR_WIDTH)
    chosen = [frames[i] for i in rows]
    verdicts = engine.predict(chosen)
    thresholds = [calibration.for_size(f.width, f.height).threshold for f in chosen]
    ours, stored = (
        Decisions.of_verdicts(verdicts, thresholds),
        predict_table(table.select(rows), head, calibration, policy),
    )
    assert ours.p == pytest.approx(stored.p, abs=1e-9)
    assert np.array_equal(ours.exit_stage, stored.exit_stage) and np.array_equal(ours.ran, stored.ran)
    assert 0 < vlm.asked < len(rows), "asked about what earlier stages left, and only that"


def test_predict__a_model_that_is_down_costs_its_stage_and_says_so(toy, seen):
    _, frames, head, *_ = toy
    _, calibration = seen
    some = frames[:200]
    down, without = (
        Cascade(models_with(vlm), head, calibration, get_policy("certified"), "v", OCR_WIDTH).predict(some)
        for vlm in (ToyVlm(down=True), None)
    )
    assert [v.p_roadwork for v in down] == [v.p_roadwork for v in without]
    assert [v.exit_stage for v in down] == [v.exit_stage for v in without]
    told = [e for v in down for e in v.evidence if e.stage == "vlm"]
    assert told and all(e.text == ("no answer: no answer within 6 s",) and not e.answered for e in told)


def test_predict__an_odd_answer_is_evidence_without_a_probability(toy, seen):
    silent = YesNo(None, 0.01, "The", "the first token 'The'")
    evidence = vlm_evidence(silent, 0.5)
    assert evidence.scores == {"vlm.mass": 0.01} and evidence.text == (silent.note,)
    assert np.isnan(vector([evidence])[EVIDENCE_NAMES.index("vlm.yes")])


@pytest.mark.parametrize(
    ("said", "exits", "p"), [(0.76, True, 0.76), (0.24, True, 0.24), (0.6, False, 0.6), (np.nan, False, 0.7)]
)
def test_plan__three_quarters(toy, said, exits, p):
    row = evidence_row((1, 1))
    row[EVIDENCE_NAMES.index("vlm.yes")] = said
    ruling = get_policy("plan").rule("vlm", np.array([logit(0.7)]), row[None], toy[3])
    assert ruling.exits[0] == exits and ruling.calibrated[0] == pytest.approx(p)


def test_observe__asks_the_model_once_and_keeps_its_answer(tmp_path):
    vlm, frames = ToyVlm(), [toy_frame(seed)[0] for seed in range(4)]
    for _ in range(2):
        _, evidence = observe(frames, models_with(vlm), tmp_path / "store", ocr_min_width_pixels=OCR_WIDTH)
    assert vlm.asked == len(frames)
    assert np.isfinite(evidence[:, EVIDENCE_NAMES.index("vlm.mass")]).all()
    with pytest.raises(VlmServerError):
        observe([toy_frame(9)[0]], models_with(ToyVlm(down=True)), tmp_path / "s", ocr_min_width_pixels=OCR_WIDTH)


def test_score__an_older_calibration_reads_todays_columns(toy, seen):
    table, _ = seen
    older = toy[3].stages["ocr"] if "ocr" in toy[3].stages else toy[3].stages["detectors"]
    kept = [name for name in older.fusion.names if name != "vlm.yes"]
    data = older.to_dict()
    places = [older.fusion.names.index(name) for name in kept]
    data["fusion"] |= {"names": kept, **{k: [data["fusion"][k][i] for i in places] for k in ("center", "weights")}}
    logits = np.linspace(-2, 2, 50)
    rows = np.where(np.array([n.startswith("vlm.") for n in EVIDENCE_NAMES]), np.nan, table.evidence[:50])
    assert StageCalibrator.from_dict(data).score(logits, rows) == pytest.approx(older.score(logits, rows))


def test_widen__older_rows_get_nan_and_newer_ones_are_refused():
    old = np.ones((3, 28), np.float32)
    wide = widen(old)
    assert wide.shape == (3, len(EVIDENCE_NAMES)) and np.isnan(wide[:, 28:]).all() and (wide[:, :28] == 1).all()
    assert widen(wide) is wide
    with pytest.raises(DataError, match="columns of evidence"):
        widen(np.ones((1, len(EVIDENCE_NAMES) + 1), np.float32))
