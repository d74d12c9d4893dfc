"""Small tables for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from streetvision_core.cascade.report import CascadeReport
    from streetvision_core.compression.benchmark import Timing
    from streetvision_core.compression.parity import Parity
    from streetvision_core.compression.report import CompressionReport
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


def compression_table(reports: Mapping[str, CompressionReport]) -> Any:
    """Each model and its int8 copies, what they gained and why they were taken or refused, as a pandas DataFrame."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for model, report in reports.items():
        cost = _cost(report.fp32_timing, report.fp32_bytes)
        fp32 = {
            "MCC": report.fp32_mcc,
            "why": "kept" if report.kept == "fp32" else "a copy passed",
            "decisions changed": 0,
        }
        rows.append({"model": model, "in": "fp32", "kept": report.kept == "fp32", **cost, **fp32})
        for c in report.candidates:
            name, cost = f"int8-{c.method}", _cost(c.timing, c.model.bytes if c.model else None)
            found = {"MCC": c.mcc, "decisions changed": c.decisions_changed, "why": c.reason}
            rows.append({"model": model, "in": name, "kept": report.kept == name, **cost, **found})
    return pd.DataFrame(rows)


def parity_table(parity: Sequence[Parity]) -> Any:
    """Each exported file beside its original, as a pandas DataFrame; what could not be compared says why."""
    import pandas as pd

    return pd.DataFrame(
        {
            "model": found.model,
            "original": found.original or "-",
            "largest difference": found.difference,
            "allowed": found.allowed,
            "least IoU": found.least_iou,
            "same": {True: "yes", False: "NO", None: "?"}[found.same],
            "on": found.note,
        }
        for found in parity
    )


def _cost(timing: Timing | None, size: int | None) -> dict[str, Any]:
    milliseconds = round(timing.median_seconds * 1000, 3) if timing else None
    return {"milliseconds": milliseconds, "MB": round(size / 1e6, 3) if size is not None else None}


def policy_table(reports: Mapping[str, CascadeReport]) -> Any:
    """The overall figures of each policy, as a pandas DataFrame."""
    import pandas as pd

    told = {
        name: {metric: f"{v.point:.3f}  [{v.low:.3f}, {v.high:.3f}]" for metric, v in report.overall.metrics.items()}
        for name, report in reports.items()
    }
    return pd.DataFrame(told)
