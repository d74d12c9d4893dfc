from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from streetvision_core.errors import ModelError, PreprocessMismatchError
from streetvision_core.models.head import Head

RNG = np.random.default_rng(0)


def make_head(widths: tuple[int, ...] = (8, 1)) -> Head:
    arrays = [RNG.normal(size=(a, b)).astype(np.float32) for a, b in pairwise(widths)]
    return Head(
        mean=RNG.normal(size=widths[0]).astype(np.float32),
        scale=RNG.uniform(0.5, 2, size=widths[0]).astype(np.float32),
        weights=tuple(arrays),
        biases=tuple(RNG.normal(size=w.shape[1]).astype(np.float32) for w in arrays),
        backbone="efficientnet-lite2",
        preprocessing="global-tiles-260/1",
        notes={"rows": 3},
    )


def test_predict_logit__equals_torch() -> None:
    torch = pytest.importorskip("torch")
    head = make_head((8, 5, 1))
    x = RNG.normal(size=(5000, 8)).astype(np.float32)
    z = torch.from_numpy((x - head.mean) / head.scale)
    first = torch.relu(z @ torch.from_numpy(head.weights[0]) + torch.from_numpy(head.biases[0]))
    expected = (first @ torch.from_numpy(head.weights[1]) + torch.from_numpy(head.biases[1]))[:, 0].numpy()
    got = head.predict_logit(x)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("widths", [(8, 1), (8, 5, 1)])
def test_save__round_trip(tmp_path: Path, widths: tuple[int, ...]) -> None:
    head = make_head(widths)
    head.save(tmp_path)
    again = Head.load(tmp_path, backbone="efficientnet-lite2", preprocessing="global-tiles-260/1")
    x = RNG.normal(size=(7, 8)).astype(np.float32)
    assert (again.predict_logit(x) == head.predict_logit(x)).all()
    assert (again.kind, again.notes) == (head.kind, {"rows": 3})


def test_predict_logit__no_rows() -> None:
    assert make_head().predict_logit(np.zeros((0, 8), np.float32)).shape == (0,)


def test_predict_logit__wrong_width() -> None:
    with pytest.raises(PreprocessMismatchError, match=r"\[N, 8\]"):
        make_head().predict_logit(np.zeros((2, 9), np.float32))


@pytest.mark.parametrize("other", [{"backbone": "dinov3"}, {"preprocessing": "letterbox-260/1"}])
def test_load__other_make(tmp_path: Path, other: dict[str, str]) -> None:
    make_head().save(tmp_path)
    with pytest.raises(PreprocessMismatchError, match="efficientnet-lite2 with global-tiles-260/1"):
        Head.load(tmp_path, **other)


@pytest.mark.parametrize("name", ["head.safetensors", "head.json"])
def test_load__broken_file(tmp_path: Path, name: str) -> None:
    make_head().save(tmp_path)
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ModelError, match="train the head again"):
        Head.load(tmp_path)


def test_load__missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        Head.load(tmp_path)


def test_head__refuses_what_does_not_fit() -> None:
    good = make_head()
    with pytest.raises(ModelError, match="layers"):
        Head(good.mean, good.scale, (np.zeros((7, 1), np.float32),), good.biases, "b", "p")
    with pytest.raises(ModelError, match="finite"):
        Head(good.mean, good.scale * 0, good.weights, good.biases, "b", "p")
