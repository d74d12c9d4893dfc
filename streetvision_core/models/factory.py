"""From settings to models: each member is loaded when it is first used, once, whichever thread asks.

Example:
    >>> from streetvision_core.settings import load_settings
    >>> models = load_models(load_settings("embedded"))        # loads nothing yet
    >>> models.preprocessor.name, models.vlm
    ('global-grid-260/1', None)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from streetvision_core.images.preprocess import Preprocessor, get_preprocessor
from streetvision_core.models import hub
from streetvision_core.models.adapters import load_adapter
from streetvision_core.models.backbone import Backbone
from streetvision_core.models.ocr import OcrReader
from streetvision_core.settings import Settings

if TYPE_CHECKING:
    from streetvision_core.models.detectors import Detector
    from streetvision_core.models.image_text import ImageTextEncoder
    from streetvision_core.models.vlm import Vlm

T = TypeVar("T")


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
        video_vlm: makes the model that is asked about stretches of video, or None: `vlm` is asked.
        image_text: makes the encoder that knows words and frames, or None.
        ocr_when_needed: the reader is there and may be made when the first sign is to be read.
    """

    def __init__(
        self,
        backbone: Callable[[], Backbone],
        preprocessor: Preprocessor,
        detectors: Callable[[], tuple[Detector, ...]] = tuple,
        vlm: Callable[[], Vlm] | None = None,
        ocr: Callable[[], OcrReader | None] = lambda: None,
        seen_groups: Callable[[], frozenset[str]] = frozenset,
        video_vlm: Callable[[], Vlm] | None = None,
        image_text: Callable[[], ImageTextEncoder | None] = lambda: None,
        ocr_when_needed: bool = False,
    ) -> None:
        self.preprocessor = preprocessor
        self._seen_groups = _Lazy(seen_groups)
        self._backbone = _Lazy(backbone)
        self._detectors = _Lazy(detectors)
        self._vlm = _Lazy(vlm) if vlm is not None else None
        self._video_vlm = _Lazy(video_vlm) if video_vlm is not None else self._vlm
        self._image_text = _Lazy(image_text)
        self._ocr = _Lazy(ocr)
        self._ocr_when_needed = ocr_when_needed

    @property
    def backbone(self) -> Backbone:
        """Stage 1's frozen backbone."""
        return self._backbone.get()

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """Stage 2's detectors; empty where the profile has none."""
        return self._detectors.get()

    @property
    def detector_keys(self) -> tuple[str, ...]:
        """`name@version` of each detector, in the profile's order; what evidence and calibrations are kept under."""
        return tuple(f"{detector.name}@{detector.version}" for detector in self.detectors)

    @property
    def seen_groups(self) -> frozenset[str]:
        """Groups of photos that trained a detector, from the cards of their weights."""
        return self._seen_groups.get()

    @property
    def vlm(self) -> Vlm | None:
        """Stage 3's model, or None: the stage is then absent."""
        return self._vlm.get() if self._vlm is not None else None

    @property
    def video_vlm(self) -> Vlm | None:
        """What is asked about stretches of video: a model of its own, else stage 3's, else None."""
        return self._video_vlm.get() if self._video_vlm is not None else None

    @property
    def image_text(self) -> ImageTextEncoder | None:
        """The encoder that knows words and frames; None: videos are searched by examples only."""
        return self._image_text.get()

    @property
    def has_ocr(self) -> bool:
        """Whether there is a reader; it is made to find out, unless it was promised."""
        return self._ocr_when_needed or self.ocr is not None

    @property
    def ocr(self) -> OcrReader | None:
        """Stage 4's reader, or None."""
        return self._ocr.get()


def load_models(settings: Settings, ocr_when_needed: bool = False) -> ModelSet:
    """The models a profile names.

    Nothing is loaded yet, so a profile can be shown without its weights.

    Args:
        settings: names them.
        ocr_when_needed: a cascade made of them loads the reader, which takes as long as all the rest and is seldom
            asked, with the first sign; a server would rather load it before the first request.

    Raises:
        SettingsError: the preprocessing has no such version.

    The members raise, when first used:
        ModelError: no adapter serves the name, or its model is not in the local folder.
        MissingExtraError: its package is not installed.
    """
    chosen = settings.models
    vlm, ocr, video_vlm, image_text = chosen.vlm, chosen.ocr, chosen.video_vlm, chosen.image_text
    return ModelSet(
        backbone=lambda: load_adapter("backbone", chosen.backbone, settings),
        preprocessor=get_preprocessor(chosen.preprocessing),
        detectors=lambda: tuple(load_adapter("detector", name, settings) for name in chosen.detectors),
        vlm=None if vlm is None else lambda: load_adapter("vlm", vlm, settings),
        ocr=lambda: None if ocr is None else load_adapter("ocr", ocr, settings),
        seen_groups=lambda: _seen_groups(settings),
        video_vlm=None if video_vlm is None else lambda: load_adapter("video_vlm", video_vlm, settings),
        image_text=lambda: None if image_text is None else load_adapter("image_text", image_text, settings),
        ocr_when_needed=ocr_when_needed and ocr is not None,
    )


def _seen_groups(settings: Settings) -> frozenset[str]:
    from streetvision_core.models.detectors import detector_names
    from streetvision_core.models.detectors._weights import read_card
    from streetvision_core.models.detectors.card import CARD, DetectorCard

    groups: set[str] = set()
    for name in settings.models.detectors:
        folder = hub.folder_of(name, settings)
        if name in detector_names():
            groups.update(read_card(name).get("seen_groups", ()))
        elif (folder / CARD).is_file():
            groups.update(DetectorCard.read(folder).seen_groups)
    return frozenset(groups)
