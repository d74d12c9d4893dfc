"""The App's own process: the database, the project's decisions brought up to date, then FiftyOne's server.

FiftyOne's own launcher would import FiftyOne twice, in the launching process and in the server's; this is the server.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from streetvision_core.errors import StreetVisionError, WorkbenchError
from streetvision_core.mining._mongod import end_with_the_parent
from streetvision_core.mining.workbench import with_database
from streetvision_core.storage import atomic_write_json


def main(home: Path, days: Path, project: str, port: int, state: Path) -> int:
    """Serves until it is told to end; a named error goes to `state`."""
    end_with_the_parent()
    try:
        with_database(home)
        os.environ["FIFTYONE_SERVER"] = "1"
        import fiftyone as fo
        from fiftyone.server.main import start_server

        from streetvision_core.mining._fiftyone_objects import show_objects
        from streetvision_core.mining._fiftyone_panel import PANEL
        from streetvision_core.mining._fiftyone_review import show_decisions
        from streetvision_core.mining._fiftyone_views import save_look, save_project_views, save_review_workspace
        from streetvision_core.mining.review_queue import ReviewQueue

        if not fo.dataset_exists(project):
            raise _empty(project)
        dataset = fo.load_dataset(project)
        queue = ReviewQueue.of_data(days.parent)
        show_decisions(dataset, queue)
        show_objects(dataset, queue)
        save_project_views(dataset)
        save_review_workspace(dataset, PANEL)
        save_look(dataset)
    except StreetVisionError as error:
        atomic_write_json(state, error.to_dict())
        return 1
    start_server(port=port, address="127.0.0.1")
    return 0


def _empty(project: str) -> WorkbenchError:
    return WorkbenchError(
        got=f"no dataset {project!r} on the workbench",
        allowed="a project that a day was mined into",
        action="run: streetvision daily, or the notebook 06_mine, and open the review again",
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), Path(sys.argv[5])))
