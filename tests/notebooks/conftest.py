"""What the notebooks share, whichever worker runs them: what each would compute again to the last bit."""

import os

import pytest
from filelock import FileLock

from streetvision_core.data.observe import Observer
from streetvision_core.learning.assemble import base_rows
from streetvision_core.learning.first import record_first_version
from streetvision_core.registry.versions import open_registry
from streetvision_core.settings import load_settings
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
            settings = load_settings()
            record_first_version(open_registry(settings), base_rows(settings, Observer.of(settings)), settings)
    return home / "data" / "models"
