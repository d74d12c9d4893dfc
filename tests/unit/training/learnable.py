"""Feature tables whose truth is known."""

import numpy as np

from streetvision_core.data.table import FeatureTable
from streetvision_core.settings import TrainingSettings
from streetvision_core.types import Split

SETTINGS = TrainingSettings(learning_rates=(1e-3, 1e-2), weight_decays=(1e-2, 1e-1), epochs=20)
SPLITS = (Split.TRAIN, Split.TRAIN, Split.TRAIN, Split.SELECT, Split.CALIBRATE, Split.TEST)


def learnable_table(n=360, dim=12, seed=0, signal=1.5, **columns):
    """Two Gaussian classes, `signal` apart along the first axis."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    features = rng.normal(size=(n, dim))
    features[:, 0] += signal * (2 * labels - 1)
    splits = [SPLITS[i % len(SPLITS)] for i in range(n)]
    filled = {"labels": labels, "splits": splits, **columns}
    return FeatureTable.build(features, backbone="b", preprocessing="p/1", **filled)
