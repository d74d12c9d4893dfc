"""What every test starts from, the examples in docstrings included."""

import os
import sys
import tempfile
from collections.abc import Iterator

import pytest
import structlog

# Hundreds of processes are started; without stored bytecode each would compile torch anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Workers and their processes share the cores: threads that wait for each other cost more than they save.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The workspace a command used last, and the one it makes where there is none, are the tests' own, not the user's.
for _variable in ("XDG_STATE_HOME", "XDG_DATA_HOME"):
    os.environ[_variable] = tempfile.mkdtemp(prefix="streetvision-tests-")

import numpy as np  # noqa: E402  reads the line above

_PRINTED_AS_EVER = np.get_printoptions()


@pytest.fixture(autouse=True)
def _untouched_by_others() -> Iterator[None]:
    """Ultralytics changes NumPy's print options when it is imported; a command sets up logs for its whole process."""
    structlog.reset_defaults()
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))  # examples show answers, not logs
    with np.printoptions(**_PRINTED_AS_EVER):
        yield


_LONGEST = ("tests/notebooks/test_night.py", "tests/e2e/test_day.py", "tests/notebooks/test_others.py")
"""Files of tests that begin first, so that neither of the two workers ends long after the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the rest keeps its order."""
    items.sort(key=lambda item: next((i for i, f in enumerate(_LONGEST) if item.nodeid.startswith(f)), len(_LONGEST)))
