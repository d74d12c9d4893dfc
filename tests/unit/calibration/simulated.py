"""Scores whose true probabilities are known."""

import numpy as np

from streetvision_core.models.evidence import EVIDENCE_NAMES


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def scored(n, seed, temperature=1.0, bias=0.0, spread=3.0):
    """Scores z, labels drawn with P(1) = sigmoid(z / temperature + bias), and that probability."""
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=spread, size=n)
    p = sigmoid(z / temperature + bias)
    return z, (rng.random(n) < p).astype(int), p


def detector_evidence(y, seed, strength=1.0, missing=0.0):
    """Evidence rows in which cones are found mostly on road work; OCR never ran."""
    rng = np.random.default_rng(seed)
    evidence = np.zeros((len(y), len(EVIDENCE_NAMES)), np.float32)
    for detector in ("dense-lite2", "yolo12n"):
        found = rng.random(len(y)) < 0.1 + 0.8 * strength * np.asarray(y)
        evidence[:, EVIDENCE_NAMES.index(f"{detector}.cone.max")] = np.where(found, 0.4 + 0.6 * rng.random(len(y)), 0)
        evidence[:, EVIDENCE_NAMES.index(f"{detector}.cone.count")] = np.where(found, rng.integers(1, 6, len(y)), 0)
    agree = np.minimum(*(evidence[:, EVIDENCE_NAMES.index(f"{d}.cone.count")] for d in ("dense-lite2", "yolo12n")))
    evidence[:, EVIDENCE_NAMES.index("agree.count")] = agree
    ocr = [i for i, name in enumerate(EVIDENCE_NAMES) if name.startswith("ocr.")]
    evidence[:, ocr] = np.nan
    evidence[rng.random(len(y)) < missing] = np.nan
    return evidence
