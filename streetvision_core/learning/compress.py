"""The int8 question, asked of each model of a profile; and whether each export answers as its original."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from streetvision_core.compression.backbone import compress_backbone, compress_head, compress_tokens, export_tokens
from streetvision_core.compression.export import export_head
from streetvision_core.compression.parity import Parity, export_parity, lite2_parity
from streetvision_core.compression.report import CompressionReport
from streetvision_core.data import scenes
from streetvision_core.errors import StreetVisionError
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.learning._compress_detectors import Given, compress_one
from streetvision_core.mining import seeds
from streetvision_core.models.adapters import load_adapter
from streetvision_core.models.backbone import cached_lite2
from streetvision_core.models.dinov3 import TokenBackbone
from streetvision_core.models.features import Rows, extract
from streetvision_core.models.head import Head
from streetvision_core.settings import Settings
from streetvision_core.types import Frame

ROUNDS: Final = 15
"""Timed rounds, A B A B; a difference worth having shows in fewer."""
COMPARED_VIEWS: Final = 4


@dataclass(frozen=True)
class CompressedModels:
    """What was found about the models of a profile.

    Attributes:
        reports: by model, its int8 copies and what is kept.
        parity: each export beside its original.
        left_out: models of which no copy was tried, and why.
    """

    reports: dict[str, CompressionReport] = field(default_factory=dict)
    parity: list[Parity] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "models": {name: report.to_dict() for name, report in self.reports.items()},
            "parity": [found.to_dict() for found in self.parity],
            "left_out": self.left_out,
        }

    def ask(self, name: str, compress: Callable[[], tuple[CompressionReport, Parity]]) -> None:
        """Takes down what is found about one model; one that is not here leaves the others alone."""
        try:
            self.reports[name], parity = compress()
        except StreetVisionError as error:
            self.left_out[name] = str(error)
        else:
            self.parity.append(parity)


def compress(
    settings: Settings, head: Head, calibrate: Sequence[Frame], known: Rows, cache: Path, detectors: Sequence[str]
) -> CompressedModels:
    """Tries int8 copies of backbone, head and detectors; a copy passes if it is faster and decides the same.

    All of it is on the CPU: a GPU has its own precisions (`compression.tensorrt`). Nothing that serves is exchanged: a
    detector's copy that passes can be named in `models.detectors`, the others lie in the cache.

    Args:
        settings: the profile.
        head: judges stage 1.
        calibrate: held-out CALIBRATE frames to calibrate on; as many others are rendered to compare on.
        known: features of CALIBRATE rows, float32 [N, D], to calibrate the head's copy on.
        cache: folder of copies and of what is known of them; it is written.
        detectors: of the profile; copies of those from the hub lie beside them in the folder of models.
    """
    seen = enumerate(seeds.take(seeds.FREE, len(calibrate)))
    judge = [scenes.render(seed, roadwork=bool(i % 2)) for i, seed in seen]
    given = Given(
        calibrate=calibrate,
        judge=[scene.frame for scene in judge],
        y=[scene.label for scene in judge],
        settings=_on_the_cpu(settings),
        folder=cache / "int8",
        rounds=ROUNDS,
    )
    found = CompressedModels()
    _ask_stage_1(head, known, given, found)
    for name in detectors:
        found.ask(name, partial(compress_one, name, given))
    return found


def _ask_stage_1(head: Head, known: Rows, given: Given, found: CompressedModels) -> None:
    name = given.settings.models.backbone
    try:
        backbone = load_adapter("backbone", name, given.settings)
        asked = extract(given.judge, backbone, get_preprocessor(head.preprocessing))
    except StreetVisionError as error:
        found.left_out.update({name: str(error), "head": "judged on features of the backbone, and there are none"})
        return
    stage_1 = _tokens if isinstance(backbone, TokenBackbone) else _lite2
    found.ask(name, lambda: stage_1(head, backbone, asked, given))
    found.ask("head", lambda: _head(head, known, asked, given))


def _lite2(head: Head, backbone: Any, asked: Rows, given: Given) -> tuple[CompressionReport, Parity]:
    cache = given.folder.parent
    views = get_preprocessor(head.preprocessing).views(given.judge[0].pixels)[:COMPARED_VIEWS]
    report = compress_backbone(
        head, given.calibrate, given.judge, given.y, cache,
        asked=asked, threads=given.settings.models.threads, rounds=given.rounds,
    )  # fmt: skip
    return report, lite2_parity(cached_lite2(cache), views, given.folder)


def _tokens(head: Head, backbone: TokenBackbone, asked: Rows, given: Given) -> tuple[CompressionReport, Parity]:
    path = given.folder / f"{Path(backbone.name).name}.onnx"
    made = export_tokens(backbone, get_preprocessor(head.preprocessing).view_size, path)
    report = compress_tokens(
        head, backbone, path, given.calibrate, given.judge, given.y, given.folder,
        threads=given.settings.models.threads, rounds=given.rounds,
    )  # fmt: skip
    return report, export_parity(backbone.name, "torch", made, "features of two views")


def _head(head: Head, known: Rows, asked: Rows, given: Given) -> tuple[CompressionReport, Parity]:
    made = export_head(head, given.folder / "head.onnx")
    report = compress_head(made.path, known, asked, given.y, given.folder, rounds=given.rounds)
    return report, export_parity("head", "the head in numpy, as served", made, "16 drawn rows")


def _on_the_cpu(settings: Settings) -> Settings:
    models = settings.models.model_copy(update={"device": "cpu", "precision": "fp32"})
    return settings.model_copy(update={"models": models})
