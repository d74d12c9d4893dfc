"""One night of the simulated week, in a process of its own that can be killed: `one_night.py NOW short|long`."""

import datetime as dt
import json
import sys
from pathlib import Path

from streetvision_core.loop import fingerprint, night
from streetvision_core.loop.pipeline import Pipeline
from streetvision_core.loop.progress import LogProgress
from streetvision_core.loop.steps import Step
from streetvision_core.settings import load_settings

FIXTURES = Path(__file__).parents[1] / "notebooks" / "fixtures"
GIVEN = {"PROFILE": str, "DAY": str, "SAVE": bool, "FRAMES": int}
SNAPSHOT = "{day_folder}/snapshot.json"


def small_pipeline(_folder, *, queries=True):
    """Instead of the nine notebooks of a night two that only look at what it works on."""
    mine = Step("mine", "handles.ipynb", "Mine", GIVEN, (), (SNAPSHOT,))
    return Pipeline("daily", FIXTURES, (mine, Step("train", "handles.ipynb", "Train", GIVEN, ("mine",), (SNAPSHOT,))))


def main(now, form):
    if form == "short":
        night.nightly_pipeline = small_pipeline
    fingerprint.package_sha256 = lambda _folder: "fixed"  # the checkout may be edited while the tests run
    outcome = night.run_night(load_settings(), progress=LogProgress(), now=dt.datetime.fromisoformat(now))
    print(json.dumps(outcome.to_dict()))
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
