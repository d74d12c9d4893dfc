"""Fills the numbers of the documents from the result files, so that no figure is typed by hand.

    python -m streetvision_core.ops.numbers          # rewrite the blocks
    python -m streetvision_core.ops.numbers --check  # exit code 1 if one is out of date

A block stands between `<!-- numbers:NAME -->` and `<!-- /numbers:NAME -->`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import DataError
from streetvision_core.settings import find_home
from streetvision_core.storage import atomic_write_text

DOCUMENTS: Final = ("README.md", "docs/benchmarks/README.md")
_BLOCK: Final = re.compile(r"<!-- numbers:(\w+) -->\n(?:.*?\n)??<!-- /numbers:\1 -->", re.DOTALL)
Results = Mapping[str, Any]


def real_table(results: Results) -> str:
    """The cross-validated cascade on real photos, by origin and era."""
    made = results["made"]
    note = (
        f"\n{made['photos']} photos, {results['folds']} folds over groups, {results['shuffles']} shuffles, mean ± "
        "deviation over shuffles. Frozen features and logistic regression alone: MCC 0.738 ± 0.018, AUC 0.910 "
        "(native, pooled). `docs/benchmarks/real.json`: `streetvision evaluate --streets PATH --out …`\n"
    )
    return str(results["markdown"]) + note


def loop_table(results: Results) -> str:
    """The serving version after each simulated day."""
    head = "| day | decision | MCC rendered, held out | MCC real photos, TEST | learned from rendered frames |\n"
    rows = [
        f"| {day['day']} | {day['outcome']} | {_interval(day['mcc_rendered'])} | {_interval(day['mcc_real'])} "
        f"| {day['training_frames']} |"
        for day in results["days"]
    ]
    note = "\n\nThe stream is rendered (synthetic). `docs/benchmarks/loop.json`: `streetvision daily --demo --days 3`\n"
    return head + "|---|---|---|---|---|\n" + "\n".join(rows) + note


def benchmark_table(results: Results) -> str:
    """One line of a benchmark's JSON, as it is."""
    return "```json\n" + json.dumps(results, indent=None, sort_keys=True)[:2000] + "\n```\n"


BLOCKS: Final[Mapping[str, Callable[[Results], str]]] = {
    "real": real_table,
    "loop": loop_table,
    "scenes": benchmark_table,
    "training": benchmark_table,
    "mining": benchmark_table,
    "runner": benchmark_table,
    "serving": benchmark_table,
}


def fill(text: str, folder: Path) -> str:
    """The text with every block written anew.

    Args:
        text: a document.
        folder: where `NAME.json` of each block lies.

    Raises:
        DataError: an unknown block, or a result file that is missing or lacks a key.
    """
    return _BLOCK.sub(lambda match: _filled(match.group(1), folder), text)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Fill the numbers of the documents from docs/benchmarks/*.json.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a document is out of date")
    chosen = parser.parse_args(arguments)
    home, stale = find_home(), 0
    for name in DOCUMENTS:
        path = home / name
        old = path.read_text()
        new = fill(old, home / "docs" / "benchmarks")
        stale += old != new
        if old != new and not chosen.check:
            atomic_write_text(path, new)
    return int(chosen.check and stale > 0)


def _filled(name: str, folder: Path) -> str:
    path = folder / f"{name}.json"
    try:
        body = BLOCKS[name](json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            got=f"{type(error).__name__}: {error} for the block {name!r}",
            allowed=f"a block of {', '.join(BLOCKS)} with its result file",
            action=f"run the benchmark that writes {path.name}, or mend the block's name",
        ) from error
    return f"<!-- numbers:{name} -->\n{body}<!-- /numbers:{name} -->"


def _interval(estimate: Mapping[str, float | None] | None) -> str:
    if not estimate or estimate["value"] is None:
        return "–"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


if __name__ == "__main__":
    raise SystemExit(main())
