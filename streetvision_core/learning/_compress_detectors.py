"""The int8 question asked of one detector of a profile, by what it is: embedded, exported, or to be exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Final

from streetvision_core.compression.detectors import export_detector
from streetvision_core.compression.detectors_int8 import compress_dense, compress_detector, compress_yolo
from streetvision_core.compression.parity import Parity, detector_parity, not_compared, once
from streetvision_core.compression.report import CompressionReport
from streetvision_core.compression.reuse import digest_of
from streetvision_core.errors import ModelError
from streetvision_core.models import hub
from streetvision_core.models.adapters import load_adapter
from streetvision_core.models.backbone import from_settings
from streetvision_core.models.detectors.exported import ONNX
from streetvision_core.models.hub.store import MANIFEST
from streetvision_core.settings import Settings
from streetvision_core.types import Frame

EXPORTED: Final = "-onnx"
INT8: Final = "-int8"
_NO_ORIGINAL: Final = "its torch checkpoint is not shipped; the ONNX file is what was measured and is served"


@dataclass(frozen=True)
class Given:
    """What every model is asked with.

    Attributes:
        calibrate: CALIBRATE frames.
        judge: frames to compare decisions on, none of them in `calibrate`.
        y: labels of `judge`.
        settings: of the profile, on the CPU in fp32.
        folder: where copies and what is known of them lie.
        rounds: timed rounds.
    """

    calibrate: Sequence[Frame]
    judge: Sequence[Frame]
    y: Sequence[int]
    settings: Settings
    folder: Path
    rounds: int


def compress_one(name: str, given: Given) -> tuple[CompressionReport, Parity]:
    """Tries int8 of one detector of the profile, and says how near its export is to its original.

    One that runs on torch is exported first, beside it in the folder of models as `NAME-onnx`, unless it is there.

    Raises:
        StreetVisionError: it is not here, cannot be loaded or exported, or is a copy in int8 itself.
    """
    return _EMBEDDED.get(name, _from_the_hub)(name, given)


def _yolo12n(name: str, given: Given) -> tuple[CompressionReport, Parity]:
    threads = given.settings.models.threads
    report = compress_yolo(given.calibrate, given.judge, given.y, given.folder, threads=threads, rounds=given.rounds)
    return report, not_compared(name, _NO_ORIGINAL)


def _dense_lite2(name: str, given: Given) -> tuple[CompressionReport, Parity]:
    backbone = from_settings("efficientnet-lite2", given.settings)
    report = compress_dense(
        backbone, given.calibrate, given.judge, given.y, given.folder,
        threads=given.settings.models.threads, rounds=given.rounds,
    )  # fmt: skip
    return report, not_compared(name, _NO_ORIGINAL)


def _from_the_hub(name: str, given: Given) -> tuple[CompressionReport, Parity]:
    if name.endswith(INT8):
        raise ModelError(
            got=f"{name}, which is in int8 already",
            allowed="a detector in fp32",
            action=f"name {name.removesuffix(INT8)} in models.detectors to ask again",
        )
    original, settings = name.removesuffix(EXPORTED), given.settings
    exported, copy = f"{original}{EXPORTED}", f"{original}{INT8}"
    folder = hub.folder_of(exported, settings)
    if not folder.is_dir() and name == original:
        export_detector(load_adapter("detector", original, settings), folder, given.judge)
    hub.resolve(exported, settings)
    report = compress_detector(
        folder, hub.folder_of(copy, settings), given.calibrate, given.judge, given.y,
        threads=settings.models.threads, rounds=given.rounds, cache=given.folder,
    )  # fmt: skip
    return report, _parity(original, exported, given)


def _parity(original: str, exported: str, given: Given) -> Parity:
    manifest = hub.folder_of(original, given.settings) / MANIFEST
    if not manifest.is_file():
        return not_compared(exported, f"its original {original} is not in the folder of models")

    def compare() -> Parity:
        torch_one, onnx_one = (load_adapter("detector", name, given.settings) for name in (original, exported))
        return detector_parity(exported, torch_one, onnx_one, given.judge)

    network = hub.folder_of(exported, given.settings) / ONNX
    made_from = digest_of(manifest, network, _version("torch"), *(frame.sha256 for frame in given.judge))
    return once(given.folder / f"parity-{Path(exported).name}.json", made_from, compare)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


_EMBEDDED: Final[Mapping[str, Callable[[str, Given], tuple[CompressionReport, Parity]]]] = MappingProxyType(
    {"yolo12n": _yolo12n, "dense-lite2": _dense_lite2}
)
