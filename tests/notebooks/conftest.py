"""What the notebooks share, whichever worker runs them: what each would compute again to the last bit."""

import pytest

from tests.small_world import run_folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    folder = run_folder(tmp_path_factory, worker_id) / "shared"
    folder.mkdir(exist_ok=True)
    return folder
