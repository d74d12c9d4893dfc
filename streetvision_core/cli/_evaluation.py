"""The figures of an evaluation as lines for a terminal."""

from __future__ import annotations

from typing import Any


def evaluation_text(result: dict[str, Any]) -> str:
    """Of a version, a line for each slice; of photos, the tables of `learning.recipe.evaluate_recipe`."""
    if "unseen_origins" in result:
        unseen = result["unseen_origins"]["markdown"]
        known = result["markdown"]
        return f"Over group folds:\n\n{known}\n\nOrigins answered by what learned from the others:\n\n{unseen}"
    lines = []
    for name, report in result.items():
        if not isinstance(report, dict) or "overall" not in report:
            continue
        slices = (report.get(part, ()) for part in ("by_world", "by_origin", "by_era", "by_mode", "by_size"))
        for part in (report["overall"], *(one for parts in slices for one in parts)):
            shown = ", ".join(
                f"{metric} {value['point']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
                for metric, value in part["metrics"].items()
                if value["point"] is not None and value["low"] is not None
            )
            lines.append(f"{name:10} {part['name']:44} n = {part['n']:5}  {shown}")
    return "\n".join(lines)
