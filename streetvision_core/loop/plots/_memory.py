"""What big models take on a card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from streetvision_core.compression.memory import Claim, Measured, MemoryPlan
from streetvision_core.loop.plots._style import BLUE, GREY, ORANGE, RED, axes


def memory_table(claims: Sequence[Claim]) -> Any:
    """The original plan's figures next to the counted ones, as a pandas DataFrame."""
    import pandas as pd

    return pd.DataFrame([claim.to_dict() for claim in claims]).set_index("model")


def measured_table(rows: Sequence[Measured]) -> Any:
    """What was computed next to what was measured in main memory on this machine, as a pandas DataFrame."""
    import pandas as pd

    return pd.DataFrame([row.to_dict() for row in rows]).set_index("model")


def memory(plans: Sequence[MemoryPlan], claims: Sequence[Claim]) -> Any:
    """Left: weights as the plan has them and as counted. Right: whole profiles against their card."""
    with axes(1, 2, 11, 3.4) as (figure, grid):
        left, right = np.ravel(grid)
        places = np.arange(len(claims))
        left.barh(places - 0.2, [c.plan_served_gb for c in claims], 0.4, color=ORANGE, label="original plan")
        left.barh(places + 0.2, [c.counted_served_gb for c in claims], 0.4, color=BLUE, label="counted")
        left.set_yticks(places, [c.model.split("/")[-1] for c in claims])
        left.set(xlabel="weights as served, GB")
        left.legend(fontsize=8)
        names = [f"{plan.profile} x {plan.miners}" for plan in plans]
        right.barh(names, [plan.total_gib for plan in plans], color=[BLUE if p.fits else RED for p in plans])
        for i, plan in enumerate(plans):
            right.plot([plan.gpu_gib] * 2, [i - 0.45, i + 0.45], color=GREY, linewidth=2)
        right.set(xlabel="GiB on the card (line: what it has; red: too much)")
    return figure
