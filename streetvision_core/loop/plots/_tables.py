"""Small tables for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from streetvision_core.cascade.report import CascadeReport
    from streetvision_core.compression.check import CompressionReport
    from streetvision_core.data.table import FeatureTable


def table_summary(table: FeatureTable) -> Any:
    """Rows, groups and labels by origin and split, as a pandas DataFrame."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "origin": table.origins,
            "split": [str(split) for split in table.splits or ["-"] * len(table)],
            "group": table.groups,
            "road work": np.asarray(table.labels == 1),
            "none": np.asarray(table.labels == 0),
        }
    )
    summed = frame.groupby(["origin", "split"]).agg(
        rows=("group", "size"), groups=("group", "nunique"), **{n: (n, "sum") for n in ("road work", "none")}
    )
    return summed.reset_index()


def compression_table(report: CompressionReport) -> Any:
    """Each int8 copy, what it gained and why it was taken or refused, as a pandas DataFrame."""
    import pandas as pd

    rows = [
        {
            "variant": f"int8-{c.method}",
            "accepted": c.accepted,
            "milliseconds": c.timing.median_seconds * 1000 if c.timing else None,
            "MCC": c.mcc,
            "decisions changed": c.decisions_changed,
            "reason": c.reason,
        }
        for c in report.candidates
    ]
    fp32 = report.fp32_timing.median_seconds * 1000 if report.fp32_timing else None
    first = {"variant": "fp32", "accepted": report.kept == "fp32", "milliseconds": fp32, "MCC": report.fp32_mcc}
    return pd.DataFrame([first, *rows])


def policy_table(reports: Mapping[str, CascadeReport]) -> Any:
    """The overall figures of each policy, as a pandas DataFrame."""
    import pandas as pd

    told = {
        name: {metric: f"{v.point:.3f}  [{v.low:.3f}, {v.high:.3f}]" for metric, v in report.overall.metrics.items()}
        for name, report in reports.items()
    }
    return pd.DataFrame(told)
