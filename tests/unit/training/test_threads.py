import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from streetvision_core.training.threads import one_thread


def test_one_thread__limits_inside_and_restores_after():
    np.ones((2, 2)) @ np.ones((2, 2))
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="work"), one_thread():
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        raise RuntimeError("work failed")
    assert torch.get_num_threads() == before
