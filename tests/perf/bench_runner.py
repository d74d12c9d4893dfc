"""What a notebook step costs above its own work: kernel start and end, page, state. The last line is JSON.

Run: python tests/perf/bench_runner.py [--write]    (--write keeps the line in docs/benchmarks/runner.json)
"""

import datetime as dt
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from streetvision_core.loop.report.notebook import notebook_page
from streetvision_core.loop.runner import RunContext, read_notebook, run_step
from streetvision_core.loop.state import RunState
from streetvision_core.loop.steps import Step
from streetvision_core.loop.workspace import Workspace
from streetvision_core.settings import load_settings
from streetvision_core.storage import atomic_write_json

ROOT = Path(__file__).parents[2]
DAY = dt.date(2026, 11, 23)
STEP = Step("good", "good.ipynb", "Good", {"DAY": str, "COUNT": int, "LABEL": str})
VALUES = {"DAY": "2026-11-23", "COUNT": 1, "LABEL": "a"}
ROUNDS = 7


def cpu_seconds() -> float:
    """CPU time of this process and of the kernels that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def fixed_cost(context: RunContext, *, force: bool = True) -> tuple[float, float]:
    """Wall and CPU seconds of one step; the wall time of its cells is taken off."""
    cpu, began = cpu_seconds(), time.perf_counter()
    result = run_step(STEP, VALUES, context, force=force)
    wall, cpu = time.perf_counter() - began, cpu_seconds() - cpu
    if result.status == "skipped":
        return wall, cpu
    cells = read_notebook(context.workspace.report_folder(DAY) / result.notebook).cells
    return wall - sum(cell.metadata.papermill.duration or 0 for cell in cells), cpu


def timed(function, *args) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    function(*args)
    return time.perf_counter() - began


def nbconvert_page(notebook) -> str:
    """The same page by nbconvert, in this process."""
    from nbconvert import HTMLExporter

    return HTMLExporter().from_notebook_node(notebook)[0]


def main() -> None:
    """Measures in a workspace of its own and prints one JSON line last."""
    with tempfile.TemporaryDirectory() as home:
        base = load_settings("embedded")
        settings = base.model_copy(update={"paths": base.paths.model_copy(update={"home": Path(home)})})
        workspace = Workspace.of(settings)
        state = RunState(workspace.run_file(DAY), "daily", DAY)
        context = RunContext(settings, DAY, ROOT / "tests" / "notebooks" / "fixtures", state)
        load = os.getloadavg()[0]
        first = fixed_cost(context)
        rounds = [fixed_cost(context) for _ in range(ROUNDS)]
        skip = statistics.median(fixed_cost(context, force=False)[0] for _ in range(ROUNDS))
        notebook = read_notebook(workspace.steps_folder(DAY) / "good.ipynb")
        nbconvert_page(notebook)  # its imports are not counted
        pages = [(timed(notebook_page, notebook, "Good", DAY), timed(nbconvert_page, notebook)) for _ in range(ROUNDS)]
    line = json.dumps(
        {
            "benchmark": "runner",
            "cpus": os.cpu_count(),
            "load_average_at_start": round(load, 1),
            "rounds": ROUNDS,
            "step_fixed_seconds_median": round(statistics.median(w for w, _ in rounds), 2),
            "step_fixed_seconds_worst": round(max(w for w, _ in rounds), 2),
            "step_cpu_seconds_median": round(statistics.median(c for _, c in rounds), 2),
            "first_step_fixed_seconds": round(first[0], 2),
            "first_step_cpu_seconds": round(first[1], 2),
            "skip_seconds_median": round(skip, 4),
            "page_seconds_median": round(statistics.median(ours for ours, _ in pages), 4),
            "nbconvert_page_over_ours": round(statistics.median(theirs / ours for ours, theirs in pages), 1),
        }
    )
    if "--write" in sys.argv:
        atomic_write_json(ROOT / "docs" / "benchmarks" / "runner.json", json.loads(line))
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
