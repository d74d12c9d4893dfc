"""papermill's engine with one addition: it tells which cell starts."""

from __future__ import annotations

import logging
from typing import Any

from papermill.engines import NBClientEngine, papermill_engines

ENGINE = "streetvision"


class StepEngine(NBClientEngine):  # type: ignore[misc]
    """Runs a notebook in nbclient and calls `on_cell(number, total)` before each cell."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, on_cell: Any, **kwargs: Any) -> Any:
        """Called by papermill; see its `NBClientEngine`."""
        cell_start = nb_man.cell_start

        def announced(cell: Any, cell_index: int = 0, **more: Any) -> Any:
            on_cell(cell_index + 1, len(nb_man.nb.cells))
            return cell_start(cell, cell_index=cell_index, **more)

        nb_man.cell_start = announced
        return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)


def register_engine() -> None:
    """Makes the engine known to papermill; harmless when repeated."""
    logging.getLogger("papermill").addHandler(logging.NullHandler())  # the runner says what went wrong, once
    papermill_engines.register(ENGINE, StepEngine)
