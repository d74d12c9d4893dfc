"""A small street world with small real models: orange cones on grey roads, seen by colour.

Everything the cascade touches is the real thing (preprocessing, features, head, evidence, calibration); only the three
models are tiny, so that thousands of frames take seconds.
"""

from dataclasses import replace

import numpy as np

from streetvision_core.cascade.calibration import SMALL_PIXELS
from streetvision_core.data.table import FeatureTable
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models.evidence import DETECTOR_NAMES, detector_evidence, ocr_evidence, vector
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.features import extract
from streetvision_core.settings import TrainingSettings, load_settings
from streetvision_core.types import Box, Frame, Split

WIDE, NARROW, HEIGHT = 272, 96, 48
OCR_WIDTH = 270
PREPROCESSING = "letterbox-224/1"
TRAINING = TrainingSettings(learning_rates=(1e-2,), weight_decays=(1e-2,), epochs=15)
SPLITS = (Split.TRAIN, Split.TRAIN, Split.SELECT, Split.CALIBRATE, Split.CALIBRATE, Split.CALIBRATE, Split.TEST)


def toy_settings(**cascade):
    """The embedded profile with the toy's preprocessing and a short training."""
    base = load_settings("embedded")
    models = base.models.model_copy(update={"preprocessing": PREPROCESSING, "backbone": "colour"})
    changed = base.cascade.model_copy(update={"ocr_min_width_pixels": OCR_WIDTH, **cascade})
    return base.model_copy(update={"models": models, "cascade": changed, "training": TRAINING})


def toy_frame(seed):
    """A frame and its label: cones, sometimes a blue sign; negatives may hold one orange thing."""
    rng = np.random.default_rng(seed)
    label = int(rng.integers(0, 2))
    width = WIDE if rng.random() < 0.5 else NARROW
    pixels = rng.normal(110, 25, (HEIGHT, width, 3))
    for _ in range(int(rng.integers(1, 7)) if label else int(rng.random() < 0.25)):
        x, y = rng.integers(0, width - 8), rng.integers(8, HEIGHT - 8)
        pixels[y : y + 6, x : x + 5] = (240, 120, 20)
    if label and rng.random() < 0.3:
        pixels[:6, :6] = (20, 20, 250)
    return Frame.from_pixels(np.clip(pixels, 0, 255).astype(np.uint8), f"toy:{seed}"), label


class ColourBackbone:
    """Colour statistics of a view."""

    name, dim = "colour", 12

    def embed(self, views):
        x = views[:, ::6, ::6].astype(np.float32)
        parts = [x.mean(axis=(1, 2)), x.std(axis=(1, 2)), x[:, 19:].mean(axis=(1, 2)), x.max(axis=(1, 2))]
        return np.concatenate(parts, axis=1).astype(np.float32)


class OrangeDetector:
    """One box per orange stripe of eight columns; `miss` of them are lost."""

    version = "1"

    def __init__(self, name, miss):
        self.name, self.miss = name, miss

    def detect(self, frames):
        return [tuple(self._boxes(frame)) for frame in frames]

    def _boxes(self, frame):
        if frame.pixels[:4, :4, 2].mean() > 200:
            yield Box(0, 0, 6, 6, "sign", 0.8)
        x = frame.pixels.astype(int)
        orange = (x[..., 0] > 200) & (x[..., 2] < 90)
        rng = np.random.default_rng(int(frame.sha256[:8], 16) + len(self.name))
        for left in range(0, frame.width, 8):
            if orange[:, left : left + 8].sum() > 8 and rng.random() > self.miss:
                yield Box(left, 8, left + 8, 40, "cone", float(rng.uniform(0.45, 0.95)))


class BlueReader:
    """Reads ROAD WORK where the corner is blue."""

    name = "blue"

    def read(self, frame, regions=None):
        return ("ROAD WORK AHEAD",) if frame.pixels[:4, :4, 2].mean() > 200 else ()


def toy_models(ocr=True, detectors=True):
    made = tuple(OrangeDetector(name, miss) for name, miss in zip(DETECTOR_NAMES, (0.1, 0.2), strict=True))
    return ModelSet(
        backbone=ColourBackbone,
        preprocessor=get_preprocessor(PREPROCESSING),
        detectors=lambda: made if detectors else (),
        ocr=lambda: BlueReader() if ocr else None,
    )


def toy_evidence(frame, models):
    """What every stage sees; the engine's test compares it with `data.observe`."""
    boxes = {d.name: d.detect([frame])[0] for d in models.detectors}
    seen = [detector_evidence(boxes, frame.width, frame.height, 0.0)] if boxes else []
    signs = [b for found in boxes.values() for b in found if b.label == "sign"]
    if models.ocr is not None and frame.width >= OCR_WIDTH and signs:
        seen.append(ocr_evidence(models.ocr.read(frame, signs), 0.0))
    return vector(seen)


def toy_table(n, seed=0, models=None, **columns):
    """N observed frames with splits; returns the table and the frames."""
    drawn = [toy_frame(seed * 100_000 + i) for i in range(n)]
    frames = [frame for frame, _ in drawn]
    models = models or toy_models()
    features = extract(frames, models.backbone, models.preprocessor)
    evidence = np.stack([toy_evidence(frame, models) for frame in frames])
    filled = {
        "ids": [f"toy-{seed}-{i}" for i in range(n)],
        "labels": [label for _, label in drawn],
        "splits": [SPLITS[i % len(SPLITS)] for i in range(n)],
        "origins": ["toyland" if i % 3 else "elsewhere" for i in range(n)],
        "eras": ["native" if frame.width > SMALL_PIXELS else "crop-224" for frame in frames],
        **columns,
    }
    table = FeatureTable.build(features, backbone="colour", preprocessing=PREPROCESSING, evidence=evidence, **filled)
    return table, frames


def with_evidence(table, evidence):
    return replace(table, evidence=evidence.astype(np.float32))
