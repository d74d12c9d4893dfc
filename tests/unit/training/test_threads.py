import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from streetvision_core.training.threads import one_thread


def threads_of_pools():
    return {pool["num_threads"] for pool in threadpool_info()}


def test_one_thread__limits_inside_and_restores_after():
    np.ones((2, 2)) @ np.ones((2, 2))
    before = torch.get_num_threads()
    with threadpool_limits(2):
        torch.set_num_threads(2)
        assert threads_of_pools() == {2}
        with pytest.raises(RuntimeError, match="work"), one_thread():
            assert torch.get_num_threads() == 1
            assert threads_of_pools() == {1}
            raise RuntimeError("work failed")
        assert torch.get_num_threads() == 2
        assert threads_of_pools() == {2}
    torch.set_num_threads(before)
