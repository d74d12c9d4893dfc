"""The sections of a night's report, made from the values that its steps return."""

from streetvision_core.loop.report._query_sections import Read, doubts, hard, traffic, who_labelled
from streetvision_core.loop.report._version_sections import bands, change, gate, honesty, real_photos

__all__ = ["Read", "bands", "change", "doubts", "gate", "hard", "honesty", "real_photos", "traffic", "who_labelled"]
