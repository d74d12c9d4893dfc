"""`streetvision predict` as a person waits for it: a lone photo, and the first of thousands. The last line is JSON.

Run: python tests/perf/bench_predict.py [--before TREE] [--write]

--before measures an older checkout too, in turns with this one (A B A B), so that both meet the same machine.
--write keeps the line in docs/benchmarks/predict.json. The first call of each tree makes its first version.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from streetvision_core.data import scenes
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.storage import atomic_write_json

ROOT = Path(__file__).parents[2]
ROUNDS = 7
FILES = 5000
LIST = """
import sys, time
from pathlib import Path
began = time.perf_counter()
try:
    from streetvision_core.images.folders import find
except ImportError:
    from streetvision_core.cli._predict import _collect
    found = _collect([Path(sys.argv[1])])[0]
    first = time.perf_counter() - began
else:
    entries = find([Path(sys.argv[1])])
    found = [next(entries)]
    first = time.perf_counter() - began
    found += entries
print(first, time.perf_counter() - began, len(found))
"""


def environment(tree: Path, home: Path) -> dict[str, str]:
    """The command's environment for one tree and its own workspace."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SV_")}
    return kept | {"PYTHONPATH": str(tree), "SV_PATHS__HOME": str(home)}


def run(tree: Path, home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """One run of Python in a tree."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment(tree, home), capture_output=True, text=True, check=True, cwd=home)


def lone(tree: Path, home: Path, photo: Path) -> tuple[float, float, str]:
    """Wall and CPU seconds of one command, and the stage that answered."""
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = run(tree, home, "-m", "streetvision_core", "predict", photo, "--json")
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return wall, cpu, json.loads(done.stdout)["results"][0]["exit_stage"]


def measure(trees: dict[str, Path], work: Path) -> dict[str, object]:
    """All figures, by tree."""
    photos = {"photo": work / "photo.jpg", "photo_of_road_work": work / "signs.jpg"}
    for path, (seed, roadwork) in zip(photos.values(), ((4, False), (3, True)), strict=True):
        path.write_bytes(encode_jpeg(scenes.render(seed, roadwork=roadwork).frame.pixels))
    folder = work / "many"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:05}.jpg").hardlink_to(photos["photo"])
    homes = {name: work / f"home-{name}" for name in trees}
    for name, tree in trees.items():
        homes[name].mkdir()
        lone(tree, homes[name], photos["photo"])
    figures: dict[str, dict[str, object]] = {name: {} for name in trees}
    for kind, photo in photos.items():
        rows = {name: [] for name in trees}
        for _ in range(ROUNDS):
            for name, tree in trees.items():
                rows[name].append(lone(tree, homes[name], photo))
        for name, taken in rows.items():
            walls, cpus = [row[0] for row in taken], [row[1] for row in taken]
            figures[name][kind] = {
                "exit_stage": taken[0][2],
                "wall_seconds_median": round(statistics.median(walls), 2),
                "wall_seconds_best": round(min(walls), 2),
                "cpu_seconds_median": round(statistics.median(cpus), 2),
            }
    for name, tree in trees.items():
        first, every, count = run(tree, homes[name], "-c", LIST, folder).stdout.split()
        listed = {"files": int(count), "first_seconds": round(float(first), 3), "all_seconds": round(float(every), 3)}
        figures[name]["folder"] = listed
    return dict(figures)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    trees = {"after": ROOT} if chosen.before is None else {"before": chosen.before, "after": ROOT}
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as work:
        figures = measure(trees, Path(work))
    line = {
        "benchmark": "predict",
        "cpus": os.cpu_count(),
        "load_average_at_start": load,
        "rounds": ROUNDS,
        **figures,
    }
    if chosen.write:
        atomic_write_json(ROOT / "docs" / "benchmarks" / "predict.json", line)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
