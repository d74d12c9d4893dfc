import numpy as np
import pytest

torch = pytest.importorskip("torch")

from streetvision_core.models.detectors._dense import decode_dense  # noqa: E402
from streetvision_core.training.detectors._dense_net import (  # noqa: E402
    DenseHead,
    box_loss,
    decode_sides,
    heat_loss,
    make_targets,
)
from streetvision_core.training.detectors._samples import IGNORE, N_CLASSES  # noqa: E402

ALL = torch.ones(N_CLASSES, dtype=torch.bool)


def targets(corners, labels, known=ALL):
    boxes = torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)
    return make_targets(boxes, torch.as_tensor(labels), known, 8, 12)


def test_make_targets__one_device():
    heat, weight, boxes, box_weight = targets([[16, 8, 48, 56]], [2])
    row, column = divmod(int(heat[2].argmax()), 12)
    assert (row, column) == (4, 4)
    assert heat[2, row, column] == 1
    assert (heat[2] == 1).sum() == 1
    assert heat[[0, 1, 3, 4, 5]].max() == 0
    assert weight.min() == 1
    assert boxes[:, row, column].tolist() == [16, 8, 48, 56]
    assert box_weight[row, column] == 1


def test_make_targets__unknown_classes_are_silent_outside_boxes_only():
    known = torch.zeros(N_CLASSES, dtype=torch.bool)
    known[0] = True
    _, weight, _, _ = targets([[16, 8, 48, 56]], [0], known)
    assert weight[0].min() == 1
    assert weight[3, 0, 0] == 0
    assert weight[3, 4, 4] == 1


def test_make_targets__ignored_region_is_silent():
    heat, weight, _, box_weight = targets([[16, 8, 48, 56]], [IGNORE])
    assert heat.max() == 0
    assert box_weight.max() == 0
    assert weight[:, 4, 4].max() == 0
    assert weight[:, 0, 11].min() == 1


def test_make_targets__nothing():
    heat, weight, _, box_weight = targets([], torch.zeros(0, dtype=torch.long))
    assert heat.max() == box_weight.max() == 0
    assert weight.min() == 1


def test_losses__fall_towards_the_truth():
    heat, weight, boxes, box_weight = (t[None] for t in targets([[16, 8, 48, 56]], [2]))
    centre_logits = torch.logit(heat.clamp(1e-4, 1 - 1e-4))
    flat = torch.full_like(heat, -2.0)
    assert heat_loss(centre_logits, heat, weight) < 0.3 * heat_loss(flat, heat, weight)
    exact = torch.zeros(1, 4, 8, 12)
    y, x = torch.meshgrid(torch.arange(8), torch.arange(12), indexing="ij")
    centres = torch.stack([x, y, x, y])[None] * 8.0 + 4
    sign = torch.tensor([1.0, 1, -1, -1])[None, :, None, None]
    exact = ((centres - boxes) * sign / 8).clamp(min=1e-3).log()
    assert box_loss(exact, boxes, box_weight) < 0.05
    assert box_loss(exact + 1, boxes, box_weight) > 0.3


def test_decode__numpy_equals_torch():
    rng = torch.Generator().manual_seed(0)
    scores, sides = torch.rand(N_CLASSES, 5, 7, generator=rng), torch.randn(4, 5, 7, generator=rng)
    corners, kept = decode_dense(scores.numpy(), sides.numpy(), 0.0)
    slow = decode_sides(sides[None])[0].permute(1, 2, 0).reshape(-1, 4)
    assert np.allclose(corners, slow.numpy(), atol=1e-4)
    assert np.allclose(kept, scores.permute(1, 2, 0).reshape(-1, N_CLASSES).numpy())


def test_export_dense__onnx_equals_torch(tmp_path):
    import onnxruntime as ort

    from streetvision_core.training.detectors._dense_train import ExportHead, export_dense

    torch.manual_seed(0)
    head = DenseHead(8).eval()
    export_dense(head, tmp_path / "head.onnx")
    maps = [torch.randn(1, 48, 8, 16), torch.randn(1, 120, 4, 8), torch.randn(1, 352, 2, 4)]
    session = ort.InferenceSession(str(tmp_path / "head.onnx"), providers=["CPUExecutionProvider"])
    fast = session.run(None, {f"map{s}": m.numpy() for s, m in zip((8, 16, 32), maps, strict=True)})
    with torch.inference_mode():
        slow = ExportHead(head)(*maps)
    for a, b in zip(fast, slow, strict=True):
        assert np.allclose(a, b.numpy(), atol=5e-3)
