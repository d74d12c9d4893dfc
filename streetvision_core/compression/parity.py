"""How near each exported ONNX file is to the model it was made from, where that is at hand.

Example:
    >>> lite2_parity(cached_lite2(cache), views)                                         # doctest: +SKIP
    Parity(model='efficientnet-lite2', original='timm tf_efficientnet_lite2', difference=1.2e-06, ...)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from streetvision_core.compression import detectors, export
from streetvision_core.compression.reuse import digest_of
from streetvision_core.models import _lite2
from streetvision_core.models.backbone import OnnxBackbone, Views
from streetvision_core.models.detectors._nms import MIN_SCORE
from streetvision_core.models.detectors.matching import corners_of, iou_matrix
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import Box, Frame


class Boxes(Protocol):
    """A detector."""

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """Boxes of frames."""


@dataclass(frozen=True, slots=True)
class Parity:
    """One exported file beside its original.

    Attributes:
        model: its name.
        original: what it was compared with; empty if it was not.
        difference: the largest one: of a number, as a share of the largest; of a box, see `detectors.TOLERANCE`.
        allowed: the most that counts as the same.
        least_iou: of a box with its partner; None where there are no boxes.
        note: on what it was compared, or why it was not.
    """

    model: str
    original: str
    difference: float | None
    allowed: float | None
    least_iou: float | None
    note: str

    @property
    def same(self) -> bool | None:
        """Whether it answers as its original; None if it was not compared."""
        return None if self.difference is None or self.allowed is None else self.difference <= self.allowed

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form; the difference of boxes without a partner, which is infinite, is null."""
        known = self.difference is not None and np.isfinite(self.difference)
        return {**asdict(self), "difference": self.difference if known else None, "same": self.same}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Parity:
        """Reads what `to_dict` gave."""
        found = {key: value for key, value in data.items() if key != "same"}
        if found["difference"] is None and found["allowed"] is not None:
            found["difference"] = float("inf")
        return cls(**found)


def not_compared(model: str, why: str) -> Parity:
    """A file that could not be compared."""
    return Parity(model, "", None, None, None, f"not compared: {why}")


def export_parity(model: str, original: str, made: export.Exported, note: str) -> Parity:
    """What an exporter of `compression.export` has found already, for without that it writes nothing."""
    return Parity(model, original, made.difference, export.TOLERANCE, None, note)


def once(file: Path, made_from: str, compare: Callable[[], Parity]) -> Parity:
    """Compares, or tells what was found when the very same things were compared before.

    Args:
        file: where it is kept.
        made_from: digest of all that was compared and of what computed it.
        compare: compares.
    """
    try:
        kept = json.loads(file.read_text())
        if kept["made_from"] == made_from:
            return Parity.from_dict(kept["found"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = compare()
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_json(file, {"made_from": made_from, "found": found.to_dict()})
    return found


def lite2_parity(path: Path, views: Views, folder: Path) -> Parity:
    """EfficientNet-Lite2's graph, which is built without torch, beside timm's network with the same weights.

    Args:
        path: the ONNX file.
        views: uint8 [N, H, W, 3].
        folder: where the result is kept.
    """
    if missing := [name for name in ("torch", "timm") if find_spec(name) is None]:
        return not_compared("efficientnet-lite2", f"no {' and no '.join(missing)} here; they come with the extra gpu")

    def compare() -> Parity:
        wanted, backbone = _lite2_in_torch(views), OnnxBackbone("efficientnet-lite2", path, 1)
        got = [backbone.embed(views), *backbone.maps(views).values()]
        difference = max(
            float(np.abs(a - b).max() / np.abs(b).max()) if a.shape == b.shape else float("inf")
            for a, b in zip(got, wanted, strict=True)
        )
        note = f"embedding and three maps of {len(views)} views"
        return Parity("efficientnet-lite2", "timm tf_efficientnet_lite2", difference, export.TOLERANCE, None, note)

    made_from = digest_of(path, _lite2.WEIGHTS_SHA256, version("torch"), version("timm"), views)
    return once(folder / "parity-efficientnet-lite2.json", made_from, compare)


def _lite2_in_torch(views: Views) -> list[npt.NDArray[np.float32]]:
    """The embedding and the maps at strides 8, 16 and 32, by timm."""
    import timm
    import torch

    model: Any = timm.create_model("tf_efficientnet_lite2", pretrained=False).eval()
    # the package and timm name the same tensors otherwise, in the same order
    theirs = (torch.from_numpy(np.array(a)) for name, a in _lite2.read_weights().items() if "num_batches" not in name)
    state = {name: next(theirs) for name in model.state_dict() if "num_batches" not in name}
    model.load_state_dict(state, strict=False)
    maps = timm.create_model("tf_efficientnet_lite2", pretrained=False, features_only=True, out_indices=(2, 3, 4))
    maps.eval().load_state_dict({name: a for name, a in state.items() if name in maps.state_dict()}, strict=False)
    planes = torch.from_numpy((views.transpose(0, 3, 1, 2) / 255.0 - 0.5) / 0.5).float()
    with torch.inference_mode():
        return [model.forward_features(planes).mean((2, 3)).numpy(), *(a.numpy() for a in maps(planes))]


def detector_parity(model: str, original: Boxes, exported: Boxes, frames: Sequence[Frame]) -> Parity:
    """An exported detector beside its original, box by box.

    Args:
        model: the export's name.
        original: the detector it was made from, on the CPU in fp32.
        exported: the export.
        frames: to look at.
    """
    wanted, got = original.detect(frames), exported.detect(frames)
    count = sum(map(len, wanted))
    if not count:
        return not_compared(model, f"the original finds nothing in {len(frames)} frames")
    difference = max(map(detectors.box_difference, wanted, got, frames))
    least = min(map(least_iou, wanted, got))
    note = f"{count} boxes in {len(frames)} frames"
    return Parity(model, type(original).__name__, difference, detectors.TOLERANCE, least, note)


def least_iou(wanted: Sequence[Box], got: Sequence[Box]) -> float:
    """The lowest overlap of a box with the best box of its class among others; 1 where there is no box.

    Boxes as faint as the least that is answered do not count: they may be missing by a rounding.

    Example:
        >>> least_iou([Box(0, 0, 10, 10, "cone", 0.9)], [Box(0, 0, 10, 5, "cone", 0.9)])
        0.5
    """
    counted = [box for box in wanted if box.score >= MIN_SCORE + detectors.TOLERANCE]
    if not counted:
        return 1.0
    overlaps = iou_matrix(corners_of(counted), corners_of(got))
    same = np.array([[a.label == b.label for b in got] for a in counted], bool).reshape(overlaps.shape)
    return float(np.where(same, overlaps, 0).max(axis=1, initial=0).min())
