"""What the notebooks share, whichever worker runs them: what each would compute again to the last bit."""

import os

import pytest
from filelock import FileLock

from streetvision_core.loop.tasks import ensure_champion, open_day
from tests.small_world import SMALL, run_folder, share


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    folder = run_folder(tmp_path_factory, worker_id) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def champion(tmp_path_factory, worker_id, shared):
    """A registry with the first champion, trained once for all workers from the starter pack."""
    home = run_folder(tmp_path_factory, worker_id) / "champion"
    with FileLock(home.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SV_")]:
            patch.delenv(name)
        for name, value in (SMALL | {"SV_PATHS__HOME": str(home)}).items():
            patch.setenv(name, value)
        if not home.exists():
            home.mkdir()
            share(home, shared)
            ensure_champion(open_day())
    return home / "data" / "models"
