"""The limit of open files: raised to what a crowd of callers needs, never beyond what the system allows."""

import subprocess
import sys

import pytest

CODE = """
import resource
from streetvision_core.serving._listening import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(allow_open_files({wanted}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "holds"),
    [(256, 900, 600, 600), (256, 900, 3000, 900), (800, 900, 600, 800)],
)
def test_allow_open_files__as_far_as_the_system_lets_it(soft: int, hard: int, wanted: int, holds: int) -> None:
    code = CODE.format(soft=soft, hard=hard, wanted=wanted)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(holds)] * 2
