"""One thread for small linear algebra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs numpy, scikit-learn and torch on one thread inside the block.

    The products here are small and many: threads that wait for each other at the end of each one cost more than they
    save, and on a machine whose cores are busy twenty times more. It also makes sums come out the same everywhere.
    """
    import sys

    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    with threadpool_limits(1):
        try:
            if torch is not None:
                torch.set_num_threads(1)
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(before)
