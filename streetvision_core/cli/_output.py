"""How the command talks: answers on stdout, everything else on stderr, one exit code per outcome."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, Final

import structlog
from rich.console import Console
from rich.text import Text

OK: Final = 0
NAMED_ERROR: Final = 1
PARTLY: Final = 3
"""Done, but some inputs could not be read, or a step of the loop failed."""

stderr = Console(stderr=True)
stdout = Console()


def configure_logs(level: int) -> None:
    """Logs go to stderr, so that stdout holds nothing but answers."""
    # the default shows the local variables of a traceback, whole images among them: seconds of work, pages of pixels
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # the one of the moment: tests exchange it
    )
    logging.basicConfig(level=max(level, logging.INFO), stream=sys.stderr, format="%(message)s")
    logging.getLogger("papermill").setLevel(max(level, logging.WARNING))  # the loop tells of each step itself


def emit(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, default=str) + "\n")


def say(*parts: str | tuple[str, str]) -> None:
    """A line for people, on stderr.

    Args:
        parts: text, or (text, style). Taken as it is: a file may be called `[/b].jpg`, so there is no markup.
    """
    stderr.print(Text.assemble(*parts), highlight=False, soft_wrap=True)
