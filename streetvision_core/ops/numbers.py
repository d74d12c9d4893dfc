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
from streetvision_core.storage import atomic_write_text
from streetvision_core.workspace import find_checkout

DOCUMENTS: Final = ("README.md", "docs/data-engine.md", "docs/serving.md")
_BLOCK: Final = re.compile(r"<!-- numbers:(\w+) -->\n(?:.*?\n)??<!-- /numbers:\1 -->", re.DOTALL)
Results = Mapping[str, Any]
_SHORT: Final = {"mcc": "MCC", "auc": "AUC", "recall": "recall", "false_alarm_rate": "false alarms"}
_FILES: Final = {"server": "end_to_end"}
"""Blocks whose result file has another name."""
_BESIDE: Final = {"real": ("baseline",), "server": ("axon", "memory", "soak"), "engine": ("workbench",)}
"""Result files that a block shows beside its own."""
_NOT_YET: Final = {
    "loop": "streetvision daily --demo --days 3`, then `streetvision weekly --day TODAY --out docs/benchmarks/loop.json"
}
"""Blocks whose result file may still be missing, and the command that makes it: the document then says so."""


def real_table(results: Results) -> str:
    """The cross-validated cascade on real photos, by origin and era, and how it does on origins it never saw."""
    made, unseen, baseline = results["made"], results["unseen_origins"], results["baseline"]
    head = "| photos | era | MCC | AUC | recall | false alarms | baseline |\n|---|---|---|---|---|---|---|\n"
    rows = [_real_row(cell, baseline) for cell in results["cells"] if _shown(cell)]
    held = [_real_row(cell, {}) for cell in unseen["cells"] if _shown(cell) and cell["era"] == "native"]
    note = (
        f"{made['photos']} photos, {results['folds']} folds over groups, {results['shuffles']} shuffles, mean ± "
        "deviation over shuffles. Baseline: frozen features and a logistic regression alone, on native photos; it has "
        "no figures for the eras. `docs/benchmarks/real.json`:\n"
        "`streetvision evaluate --streets PATH --out docs/benchmarks/real.json`\n"
    )
    middle = "Every origin answered by what learned from the other origins alone:\n\n"
    return "\n".join([head + "\n".join(rows), "", middle + head + "\n".join(held), "", note])


def _shown(cell: Mapping[str, Any]) -> bool:
    return bool(cell["policy"] == "certified" and cell["era"] != "all")


def _real_row(cell: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    found = cell["metrics"]
    own = " | ".join(_spread(found[name]) for name in ("mcc", "auc", "recall", "false_alarm_rate"))
    known = baseline.get(cell["origin"], {}) if cell["era"] == "native" else {}
    words = ", ".join(f"{_SHORT[name]} {value:g}" for name, value in known.items() if name in _SHORT)
    count = f"{cell['n']}, {cell['positives']} with road work"
    return f"| {cell['origin']} ({count}) | {cell['era']} | {own} | {words or '–'} |"


def _spread(value: Mapping[str, float | None]) -> str:
    return "–" if value["mean"] is None else f"{value['mean']:.3f} ± {value['deviation']:.3f}"


def loop_table(results: Results) -> str:
    """The serving version before the first and after each simulated day."""
    head = "| day | decision | MCC rendered, held out | MCC real photos, TEST | learned from rendered frames |\n"
    start = {"day": "before", "outcome": "–", **results["start"]}
    rows = [
        f"| {day['day']} | {day['outcome']} | {_interval(day['mcc_rendered'])} | {_interval(day['mcc_real'])} "
        f"| {day['training_frames']} |"
        for day in [start, *results["days"]]
    ]
    note = (
        "\n\nThe stream is rendered (synthetic). `docs/benchmarks/loop.json`: `streetvision daily --demo --days 3`,\n"
        "then `streetvision weekly --out docs/benchmarks/loop.json`\n"
    )
    return head + "|---|---|---|---|---|\n" + "\n".join(rows) + note


def server_table(results: Results) -> str:
    """What the server adds, what it carries with the embedded cascade, whether it grows, whether it loses."""
    axon, memory, soak = results["axon"], results["memory"], results["soak"]
    rows = [
        f"| HTTP gateway, instant model | {axon['http_requests_per_core_second']:,.0f} requests/s and core, "
        f"{1000 * axon['added_p99_seconds']['http']:.1f} ms added at p99 | {_budget(axon)} |",
        f"| subnet 72, instant model: signature, nonce on disk, permit | {axon['sn72_requests_per_core_second']:,.0f} "
        f"requests/s and core, {1000 * axon['added_p99_seconds']['sn72']:.1f} ms added at p99 | bittensor's own axon: "
        f"{axon['axon_requests_per_core_second']:,.0f} requests/s, "
        f"{1000 * axon['added_p99_seconds']['axon']:.1f} ms; {axon['ratio']:.1f} times |",
    ]
    for connections, one in results["connections"].items():
        ours, plain = (max(load["requests_per_second"] for load in one[kind]) for kind in ("ours", "plain"))
        rows.append(
            f"| embedded cascade, {connections} connections | {ours:.1f} requests/s | plain FastAPI loop: {plain:.1f}; "
            f"{one['ratio']:.2f} times, both measured twice |"
        )
    growth = ", ".join(f"{side} {memory[side]['growth_percent']:+.1f} %" for side in ("gateway", "models"))
    rows.append(f"| memory over {memory['requests']:,} requests | {growth} after the first fifth | flat |")
    rows.append(
        f"| {soak['kills']} random kills of model servers in {soak['seconds']:.0f} s | {soak['answered']:,} answered, "
        f"{soak['lost']} lost, {soak['wrong']} wrong | none lost, none wrong |"
    )
    return "| what | measured | next to |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _budget(axon: Results) -> str:
    rate, added = axon["allowed_requests_per_core_second"], 1000 * axon["allowed_added_p99_seconds"]
    return f"budget: {rate:,} and {added:.0f} ms"


def engine_table(results: Results) -> str:
    """What each step of the data engine takes, and the workbench's scores next to FiftyOne's."""
    workbench = results["workbench"]
    rows = [
        f"| {results['samples']:,} samples, {name} | {s:.1f} s | |" for name, s in _steps(results, "seconds_per_10000")
    ]
    rows += [_total(results, "", "all steps", "samples")]
    rows += [f"| {results['pool']:,} features, {name} | {s:.1f} s | |" for name, s in _steps(results, "pool_seconds")]
    rows += [_total(results, "pool_", "both", "pool")]
    ours, theirs = (min(workbench[f"seconds_{who}"]) for who in ("ours", "fiftyone"))
    apart = max(workbench["largest_difference"].values())
    rows.append(
        f"| workbench: hardness and mistakenness of {workbench['samples']:,} samples at once | {ours:.1f} s "
        f"| FiftyOne, sample by sample: {theirs:.1f} s; {workbench['ratio']:.0f} times, "
        f"values at most {apart:.0e} apart |"
    )
    note = (
        f"\n\n{results['cores']} cores, load {results['load_average']:g}; rendered scenes as JPEG, features and "
        "evidence drawn at random, for what a model costs per frame\nis measured elsewhere. "
        "`docs/benchmarks/engine.json`: `python tests/perf/bench_engine.py`; `workbench.json`: `bench_workbench.py`\n"
    )
    return "| step | seconds | next to |\n|---|---|---|\n" + "\n".join(rows) + note


def _steps(results: Results, key: str) -> list[tuple[str, float]]:
    """Steps of half a second or more; the others stay in the sum."""
    return [(name, seconds) for name, seconds in results[key].items() if seconds >= 0.5]


def _total(results: Results, prefix: str, what: str, count: str) -> str:
    measured, allowed = (results[f"{prefix}{kind}_seconds"] for kind in ("total", "allowed"))
    return f"| {results[count]:,}: {what} | **{measured:.1f} s** | budget: {allowed:.0f} s |"


BLOCKS: Final[Mapping[str, Callable[[Results], str]]] = {
    "real": real_table,
    "loop": loop_table,
    "server": server_table,
    "engine": engine_table,
}


def fill(text: str, folder: Path) -> str:
    """The text with every block written anew.

    Args:
        text: a document.
        folder: where `NAME.json` of each block lies.

    Raises:
        DataError: an unknown block, or a result file that lacks a key or is missing where it must not be.
    """
    return _BLOCK.sub(lambda match: _filled(match.group(1), folder), text)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Fill the numbers of the documents from docs/benchmarks/*.json.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a document is out of date")
    chosen = parser.parse_args(arguments)
    home, stale = find_checkout(Path.cwd()) or Path.cwd(), 0
    for name in DOCUMENTS:
        path = home / name
        old = path.read_text()
        new = fill(old, home / "docs" / "benchmarks")
        stale += old != new
        if old != new and not chosen.check:
            atomic_write_text(path, new)
    return int(chosen.check and stale > 0)


def _filled(name: str, folder: Path) -> str:
    path = folder / f"{_FILES.get(name, name)}.json"
    if name in _NOT_YET and not path.exists():
        return f"<!-- numbers:{name} -->\nNot measured yet: `{_NOT_YET[name]}`.\n<!-- /numbers:{name} -->"
    try:
        results = json.loads(path.read_text())
        for beside in _BESIDE.get(name, ()):
            results[beside] = json.loads((folder / f"{beside}.json").read_text())
        body = BLOCKS[name](results)
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
