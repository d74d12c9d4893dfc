"""What the notebooks of one file of tests share: what each would compute again to the last bit."""

import pytest


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")
