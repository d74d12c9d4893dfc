"""Who said what an image shows: one append-only store of decisions, and the label that follows from them.

Owns `data/labels.sqlite`. A decision names an image by the sha256 of its bytes and is never changed or removed; a word
taken back is a withdrawal. CSV enters and leaves (`sheet`), nothing else holds labels.
"""

from streetvision_core.labels.store import LabelStore, Recorded, label_store_path
from streetvision_core.labels.values import SOURCES, Decision, Label, Source

__all__ = ["SOURCES", "Decision", "Label", "LabelStore", "Recorded", "Source", "label_store_path"]
