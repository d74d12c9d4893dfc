"""Shows a run: a live table on a terminal, log lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

import structlog
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from streetvision_core.loop.steps import Step, StepResult

logger = structlog.get_logger(__name__)

LOOKS: Final[dict[str, tuple[str, str]]] = {
    "done": ("✓", "green"),
    "skipped": ("=", "cyan"),
    "failed": ("✗", "bold red"),
    "blocked": ("–", "yellow"),
    "stopped": ("■", "yellow"),
}


class Progress(Protocol):
    """What a run tells while it runs."""

    def __enter__(self) -> Self:
        """The run begins."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The run is over."""
        ...

    def begin(self, title: str, steps: Sequence[Step]) -> None:
        """The steps that will run, in order."""
        ...

    def step_began(self, step: Step) -> None:
        """A step begins."""
        ...

    def cell_began(self, number: int, total: int) -> None:
        """A cell of the running step begins; may be called from another thread."""
        ...

    def step_ended(self, result: StepResult) -> None:
        """A step is over, or was never begun."""
        ...


class LogProgress:
    """One log line per event, for journals and cron."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begin(self, title: str, steps: Sequence[Step]) -> None:
        """See `Progress`."""
        logger.info("pipeline_began", pipeline=title, steps=[step.name for step in steps])

    def step_began(self, step: Step) -> None:
        """See `Progress`."""
        logger.info("step_began", step=step.name, title=step.title)

    def cell_began(self, number: int, total: int) -> None:
        """See `Progress`."""
        logger.debug("cell_began", cell=number, cells=total)

    def step_ended(self, result: StepResult) -> None:
        """See `Progress`."""
        tell = logger.error if result.status == "failed" else logger.info
        tell("step_ended", step=result.name, status=result.status, seconds=round(result.seconds, 1), note=result.note)


class TerminalProgress:
    """A table that is redrawn while the steps run: mark, title, what it does now, elapsed time."""

    def __init__(self, console: Console | None = None) -> None:
        self._title = ""
        self._steps: list[Step] = []
        self._ended: dict[str, StepResult] = {}
        self._running: str | None = None
        self._since = self._began = time.monotonic()
        self._cell = ""
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = None
        self._live.stop()

    def begin(self, title: str, steps: Sequence[Step]) -> None:
        """See `Progress`."""
        self._title, self._steps, self._began = title, list(steps), time.monotonic()

    def step_began(self, step: Step) -> None:
        """See `Progress`."""
        self._running, self._since, self._cell = step.name, time.monotonic(), "starting"

    def cell_began(self, number: int, total: int) -> None:
        """See `Progress`."""
        self._cell = f"cell {number} of {total}"

    def step_ended(self, result: StepResult) -> None:
        """See `Progress`."""
        self._running = None
        self._ended[result.name] = result

    def _draw(self) -> RenderableType:
        table = Table(box=None, padding=(0, 1), show_header=False)
        for _ in range(2):
            table.add_column(no_wrap=True)
        table.add_column(ratio=1)
        table.add_column(justify="right", no_wrap=True)
        for step in self._steps:
            table.add_row(*self._row(step))
        finished = sum(result.finished for result in self._ended.values())
        elapsed = time.monotonic() - self._began
        head = Text(f"{self._title}   {finished} of {len(self._steps)} steps, {elapsed:.0f} s", style="bold")
        return Group(head, table)

    def _row(self, step: Step) -> tuple[RenderableType, ...]:
        result = self._ended.get(step.name)
        if result is not None:
            mark, style = LOOKS.get(result.status, ("?", ""))
            return Text(mark, style), Text(step.title, style), Text(result.note, "dim"), Text(f"{result.seconds:.1f} s")
        if step.name == self._running:
            elapsed = f"{time.monotonic() - self._since:.0f} s"
            return Spinner("dots"), Text(step.title, "bold"), Text(self._cell, "dim"), Text(elapsed)
        return Text("·", "dim"), Text(step.title, "dim"), Text(""), Text("")


def default_progress() -> Progress:
    """The table on a terminal, log lines elsewhere."""
    return TerminalProgress() if Console().is_terminal else LogProgress()
