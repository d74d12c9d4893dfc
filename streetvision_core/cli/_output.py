"""How the command talks: answers on stdout, everything else on stderr, one exit code per outcome."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any, Final

import structlog
from rich.console import Console
from rich.text import Text

from streetvision_core.errors import StreetVisionError

OK: Final = 0
NAMED_ERROR: Final = 1
PARTLY: Final = 3
"""Done, but some inputs could not be read, or a step of the loop failed."""
INTERRUPTED: Final = 130


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Left to whoever started the command's work; Rich would exit with 1 at once."""
        raise BrokenPipeError


stderr = Console(stderr=True)
stdout = _Console()


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


def take_any_text() -> None:
    """Lets stdout and stderr print names that their encoding does not know, as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def explain(error: StreetVisionError) -> None:
    """A named error, for people, on stderr."""
    say((type(error).__name__, "bold red"), f": got {error.got}")
    say(f"  allowed: {error.allowed}")
    say(f"  do:      {error.action}")


def emit(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, default=str) + "\n")


def say(*parts: str | tuple[str, str]) -> None:
    """A line for people, on stderr.

    Args:
        parts: text, or (text, style). Taken as it is: a file may be called `[/b].jpg`, so there is no markup.
    """
    stderr.print(Text.assemble(*parts), highlight=False, soft_wrap=True)
