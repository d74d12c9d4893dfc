"""ONNX Runtime on the CPU: a lone image gets all threads, the images of a batch go side by side on one thread each.

Two images on a core each are answered in about four fifths of the time of one after the other on both cores, because
small layers leave threads waiting.

Example:
    >>> each(abs, [-1, 2, -3], threads=2)
    [1, 2, 3]
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from streetvision_core.errors import ModelError

T = TypeVar("T")
R = TypeVar("R")

_here = threading.local()
"""`side_by_side` is set in the threads of `each`."""
_seconds: ContextVar[list[float] | None] = ContextVar("seconds", default=None)
"""Where `stopwatch` collects; each thread has its own."""


class Session:
    """An ONNX model; several threads may run it at once.

    Args:
        model: the file, or its bytes.
        name: for errors.
        threads: intra-op threads of a lone call; within `each` a call has one.

    Raises:
        ModelError: ONNX Runtime cannot load it.
    """

    def __init__(self, model: Path | bytes, name: str, threads: int) -> None:
        self._model, self._name = model, name
        self._whole = open_session(model, name, threads)
        self._single = self._whole if threads == 1 else None
        self._lock = threading.Lock()

    def run(self, outputs: Sequence[str] | None, feeds: dict[str, Any], options: Any = None) -> list[Any]:
        """The named outputs, or all; arguments as of `onnxruntime.InferenceSession.run`."""
        session = self._of_one_thread() if getattr(_here, "side_by_side", False) else self._whole
        made: list[Any] = session.run(None if outputs is None else list(outputs), feeds, options)
        return made

    def get_outputs(self) -> list[Any]:
        """Names and shapes of the outputs."""
        return list(self._whole.get_outputs())

    def _of_one_thread(self) -> Any:
        with self._lock:
            if self._single is None:
                self._single = open_session(self._model, self._name, 1)
            return self._single


def each(function: Callable[[T], R], items: Iterable[T], threads: int) -> list[R]:
    """What a function makes of every item, in order; two items or more go side by side.

    Args:
        function: called from other threads; calls of `each` within it go one after the other.
        items: the items.
        threads: how many at the same time.

    Raises:
        Exception: the first that the function raises.
    """
    todo = list(items)
    seconds = _seconds.get()
    if seconds is None:
        return _spread(function, todo, threads)
    made = _spread(lambda item: _timed(function, item), todo, threads)
    seconds += [took for _, took in made]
    return [result for result, _ in made]


def _spread(function: Callable[[T], R], todo: Sequence[T], threads: int) -> list[R]:
    if len(todo) < 2 or threads < 2 or getattr(_here, "side_by_side", False):
        return [function(item) for item in todo]
    return list(_pool(threads).map(function, todo))


def _timed(function: Callable[[T], R], item: T) -> tuple[R, float]:
    outer, began = _seconds.set(None), time.perf_counter()
    try:
        return function(item), time.perf_counter() - began
    finally:
        _seconds.reset(outer)


@contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Measures the items of each call of `each` within, but not those of calls within an item.

    Yields:
        the seconds of every item, in the order of the items; a model that takes its frames in one call leaves none.

    Example:
        >>> with stopwatch() as seconds:
        ...     made = each(abs, [-1, 2, -3], threads=2)
        >>> len(seconds)
        3
    """
    seconds: list[float] = []
    outer = _seconds.set(seconds)
    try:
        yield seconds
    finally:
        _seconds.reset(outer)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sv-frame", initializer=_mark)


def _mark() -> None:
    _here.side_by_side = True


def open_session(model: Path | bytes, name: str, threads: int) -> Any:
    """An ONNX Runtime CPU session that leaves the cores alone between calls.

    Args:
        model: the file, or its bytes.
        name: for the error.
        threads: intra-op threads.

    Raises:
        ModelError: ONNX Runtime cannot load it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        source = str(model) if isinstance(model, Path) else model
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own classes, which share only this base
        raise ModelError(
            got=f"{name}: {error}",
            allowed="an ONNX model that this ONNX Runtime can load",
            action=f"remove {model} and run again"
            if isinstance(model, Path)
            else "install the pinned onnxruntime of constraints.txt",
            name=name,
        ) from error
