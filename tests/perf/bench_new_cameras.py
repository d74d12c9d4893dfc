"""How far the best threshold moves for cameras that nobody trained on: `scoring.new_camera_logits`.

Each camera family of the starter pack is answered by a head and calibrators that learned from the other families
alone; the best threshold over those answers, families weighed equally in each class, is set beside the threshold that
CALIBRATE gives. Photographs alone, of all splits. Prints a line per seed and one JSON line.

    python tests/perf/bench_new_cameras.py [SEEDS]
"""

import json
import sys

import numpy as np

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.crossval import _with_splits
from streetvision_core.cascade.engine import predict_table
from streetvision_core.data.starter import load_starter, starter_folder
from streetvision_core.data.table import FeatureTable
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.settings import load_settings
from streetvision_core.training.heads import train_heads
from streetvision_core.training.spec import CandidateSpec
from streetvision_core.types import Split

GRID = np.linspace(0.02, 0.98, 97)
FEWEST = 10
"""Photos of a class that a family needs to count in it."""
HEAD = [CandidateSpec("linear", "cross-entropy", 3e-4, 1e-2, 0, "class")]


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def answers(learn, photos, composed, heldout, settings):
    """Calibrated probabilities of photos by what learned from others."""
    taught = {g for g, split in zip(learn.groups, learn.splits, strict=True) if split == Split.TRAIN}
    twins = composed.select(np.array([g in taught for g in composed.groups]))
    table = FeatureTable.concat([learn, twins, heldout])
    head = train_heads(table, settings.training, settings.seed, specs=HEAD).head
    calibration = fit_cascade(table, head, settings)
    return predict_table(photos, head, calibration, "certified").calibrated, calibration.threshold


def equal_weights(labels, families):
    """Each class has half of the weight, shared equally by the families with enough photos of it."""
    weights = np.zeros(len(labels))
    for label in (0, 1):
        masks = [(families == family) & (labels == label) for family in np.unique(families)]
        kept = [mask for mask in masks if mask.sum() >= FEWEST]
        for mask in kept:
            weights[mask] = 0.5 / len(kept) / mask.sum()
    return weights


def best_threshold(p, labels, families):
    weights = equal_weights(labels, families)
    scores = []
    for t in GRID:
        kinds = ((1, 1), (1, 0), (0, 1), (0, 0))
        cells = [np.float64(weights[((p > t) == found) & (labels == label)].sum()) for found, label in kinds]
        scores.append(float(Confusion(*cells).mcc()))
    return float(GRID[int(np.argmax(scores))]), max(scores)


def measure(seed: int) -> dict[str, float]:
    settings = load_settings("embedded").model_copy(update={"seed": seed})
    settings = settings.model_copy(update={"scoring": settings.scoring.model_copy(update={"new_camera_logits": 0.0})})
    pack = load_starter()
    heldout = FeatureTable.load(starter_folder() / "heldout.npz")
    heldout = heldout.select(heldout.in_split(Split.CALIBRATE))
    photos = pack.table
    families, native = np.array(photos.origins), np.array(photos.eras) == "native"
    found = []
    for family in np.unique(families):
        rest, out = photos.select(families != family), photos.select((families == family) & native)
        learn = _with_splits(rest, np.zeros(len(rest), bool), 7919 * seed + 1)
        p, _ = answers(learn, out, pack.composed, heldout, settings)
        found.append((p, out.labels.astype(int), np.array([family] * len(out))))
    p, labels, origins = map(np.concatenate, zip(*found, strict=True))
    new, mcc = best_threshold(p, labels, origins)
    _, known = answers(photos, photos.select(native), pack.composed, heldout, settings)
    return {"seed": seed, "known": known, "new": new, "logits": logit(new) - logit(known), "mcc_new": mcc}


if __name__ == "__main__":
    runs = []
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        runs.append(measure(seed))
        print({k: round(v, 3) for k, v in runs[-1].items()}, flush=True)
    means = {
        f"{name}_mean": round(float(np.mean([run[name] for run in runs])), 3) for name in ("known", "new", "logits")
    }
    deviation = round(float(np.std([run["logits"] for run in runs])), 2)
    print(json.dumps({"bench": "new_cameras", "seeds": len(runs), **means, "logits_sd": deviation}))
