"""What the notebooks show: pictures, charts and small tables; labelled axes, colours safe for colour-blind eyes."""

from streetvision_core.loop.plots._charts import (
    comparison,
    compression,
    hardness,
    leaderboard,
    mode_accuracy,
    modes,
    projection,
    splits,
    timeline,
    traffic,
    week,
)
from streetvision_core.loop.plots._labels import label_curves, label_errors, label_ratios
from streetvision_core.loop.plots._memory import measured_table, memory, memory_table
from streetvision_core.loop.plots._pictures import boxes, eras, gallery, mined, photos, picture, strip, synthetic
from streetvision_core.loop.plots._tables import compression_table, parity_table, policy_table, table_summary

__all__ = [
    "boxes",
    "comparison",
    "compression",
    "compression_table",
    "eras",
    "gallery",
    "hardness",
    "label_curves",
    "label_errors",
    "label_ratios",
    "leaderboard",
    "measured_table",
    "memory",
    "memory_table",
    "mined",
    "mode_accuracy",
    "modes",
    "parity_table",
    "photos",
    "picture",
    "policy_table",
    "projection",
    "splits",
    "strip",
    "synthetic",
    "table_summary",
    "timeline",
    "traffic",
    "week",
]
