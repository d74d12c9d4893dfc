"""What each stage of a logged answer says on its own: the weak sources that cost nothing more.

The cascade's own answer is not among them: it is made of these, and would count them twice.
"""

from __future__ import annotations

import math
from typing import Final

from streetvision_core.models.evidence import DETECTOR_NAMES
from streetvision_core.types import Verdict

HEAD: Final = "head"
OCR: Final = "ocr"
VLM: Final = "vlm"
SOURCES: Final[tuple[str, ...]] = (HEAD, *DETECTOR_NAMES, OCR, VLM)


def logged_answers(verdict: Verdict) -> dict[str, float]:
    """Source to a number in [0, 1]; a stage that did not run is left out.

    The head and the image-text model say their probability, a detector its best score, OCR 1 where a road-work keyword
    stands, 0 where text was read and none of it is one, and nothing where the keywords are negated (END ROAD WORK).
    """
    said: dict[str, float] = {}
    for evidence in verdict.evidence:
        if "logit" in evidence.scores:
            said[HEAD] = 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, evidence.scores["logit"]))))
        if "vlm.yes" in evidence.scores:
            said[VLM] = evidence.scores["vlm.yes"]
        for detector, boxes in evidence.boxes.items():
            said[detector] = max((box.score for box in boxes), default=0.0)
        if evidence.stage == "ocr" and not evidence.scores.get("ocr.negated"):
            said[OCR] = float(evidence.scores.get("ocr.keywords", 0.0) > 0)
    return said
