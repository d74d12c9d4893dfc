"""From settings to models: each member is loaded when it is first used, once, whichever thread asks.

Example:
    >>> from streetvision_core.settings import load_settings
    >>> models = load_models(load_settings("embedded"))        # loads nothing yet
    >>> models.preprocessor.name, models.vlm
    ('global-grid-260/1', None)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from streetvision_core.errors import MissingExtraError, ModelError
from streetvision_core.images.preprocess import Preprocessor, get_preprocessor
from streetvision_core.models.backbone import Backbone, backbone_names, load_backbone
from streetvision_core.models.ocr import OcrReader, load_ocr, ocr_names
from streetvision_core.settings import Settings

if TYPE_CHECKING:
    from streetvision_core.models.detectors import Detector

T = TypeVar("T")

_PACKAGES: Final[dict[str, str]] = {
    "timm": "timm",
    "rfdetr": "rfdetr",
    "yolo12x": "ultralytics",
    "zai-org": "transformers",
    "allenai": "transformers",
    "florence-community": "transformers",
}
"""The package behind the first part of a big adapter's name (`timm/vit_large…`, `rfdetr-medium`)."""


class _Lazy(Generic[T]):
    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[T] = []

    def get(self) -> T:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]


class ModelSet:
    """The models of one profile, loaded at first use.

    Args:
        backbone: makes the frozen backbone.
        preprocessor: the versioned preprocessing.
        detectors: makes the stage-2 detectors; may make none.
        vlm: makes the stage-3 model, or None where the profile has none.
        ocr: makes the stage-4 reader, or None.
        seen_groups: names the groups of photos that trained a detector.
    """

    def __init__(
        self,
        backbone: Callable[[], Backbone],
        preprocessor: Preprocessor,
        detectors: Callable[[], tuple[Detector, ...]] = tuple,
        vlm: Callable[[], Any] | None = None,
        ocr: Callable[[], OcrReader | None] = lambda: None,
        seen_groups: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self.preprocessor = preprocessor
        self._seen_groups = _Lazy(seen_groups)
        self._backbone = _Lazy(backbone)
        self._detectors = _Lazy(detectors)
        self._vlm = _Lazy(vlm) if vlm is not None else None
        self._ocr = _Lazy(ocr)

    @property
    def backbone(self) -> Backbone:
        """Stage 1's frozen backbone."""
        return self._backbone.get()

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """Stage 2's detectors; empty where the profile has none."""
        return self._detectors.get()

    @property
    def seen_groups(self) -> frozenset[str]:
        """Groups of photos that trained a detector, from the cards of their weights."""
        return self._seen_groups.get()

    @property
    def vlm(self) -> Any:
        """Stage 3's model, or None: the stage is then absent."""
        return self._vlm.get() if self._vlm is not None else None

    @property
    def ocr(self) -> OcrReader | None:
        """Stage 4's reader, or None."""
        return self._ocr.get()


def load_models(settings: Settings) -> ModelSet:
    """The models a profile names.

    Nothing is loaded yet, so a profile can be shown without its weights.

    Raises:
        SettingsError: the preprocessing has no such version.

    The members raise, when first used:
        ModelError: the adapter is not part of this version.
        MissingExtraError: its package is not installed.
    """
    chosen, threads = settings.models, settings.models.threads
    cache = settings.paths.resolve("data") / "cache"
    vlm = chosen.vlm
    return ModelSet(
        backbone=lambda: _backbone(chosen.backbone, threads, cache),
        preprocessor=get_preprocessor(chosen.preprocessing),
        detectors=lambda: tuple(_detector(name, threads) for name in chosen.detectors),
        vlm=None if vlm is None else lambda: _absent("VLM", vlm, []),
        ocr=lambda: None if chosen.ocr is None else _ocr(chosen.ocr, threads),
        seen_groups=lambda: _seen_groups(chosen.detectors),
    )


def _backbone(name: str, threads: int, cache: Path) -> Backbone:
    return (
        load_backbone(name, threads, cache) if name in backbone_names() else _absent("backbone", name, backbone_names())
    )


def _ocr(name: str, threads: int) -> OcrReader:
    return load_ocr(name, threads) if name in ocr_names() else _absent("OCR", name, ocr_names())


def _detector(name: str, threads: int) -> Detector:
    from streetvision_core.models.detectors import detector_names, load_detector

    return load_detector(name, threads) if name in detector_names() else _absent("detector", name, detector_names())


def _seen_groups(detectors: Sequence[str]) -> frozenset[str]:
    from streetvision_core.models.detectors import detector_names
    from streetvision_core.models.detectors._weights import read_card

    cards = [read_card(name) for name in detectors if name in detector_names()]
    return frozenset(group for card in cards for group in card.get("seen_groups", ()))


def _absent(role: str, name: str, here: list[str]) -> NoReturn:
    """Says what a big profile's adapter needs; a stand-in that answers anyway would be worse than none."""
    package = next((p for start, p in _PACKAGES.items() if name.startswith(start)), None)
    if package is not None and find_spec(package) is None:
        raise MissingExtraError(package, "gpu")
    raise ModelError(
        got=f"{role} {name!r}, whose adapter is not part of this version",
        allowed=", ".join(here) if here else f"no {role}: the profile `embedded` leaves the stage out",
        action="run with SV_PROFILE=embedded; the adapters of `light` and `platinum` come in a later version",
        role=role,
        name=name,
    )
