"""Models of a few numbers, made here: whoever tests with them can say in NumPy what they result in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Shape = Sequence[int | str]
NODE = helper.make_node


def save(
    path: Path,
    nodes: Sequence[NodeProto],
    shapes: tuple[Shape, Shape],
    weights: dict[str, NDArray[Any]],
    result: int = TensorProto.FLOAT,
    source: int = TensorProto.FLOAT,
) -> Path:
    """A model from `x` to `y`; shapes: of both. result, source: their dtypes."""
    ends = [
        helper.make_tensor_value_info(name, kind, list(shape))
        for name, kind, shape in zip("xy", (source, result), shapes, strict=True)
    ]
    known = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(list(nodes), "tiny", ends[:1], ends[1:], known)
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9, producer_name="tests", producer_version="1")
    path.write_bytes(model.SerializeToString())
    return path


def mean(path: Path, axes: Sequence[int] = (1,), shape: Shape = ("n", "c", "h", "w")) -> Path:
    """The mean along some axes."""
    node = NODE("ReduceMean", ["x", "axes"], ["y"], keepdims=0)
    left = [side for axis, side in enumerate(shape) if axis not in axes]
    return save(path, [node], (shape, left), {"axes": np.array(axes, np.int64)})


def conv(path: Path, weights: NDArray[np.float32]) -> Path:
    """A convolution (out, in, rows, columns) without padding: the result is smaller than the window."""
    shapes = ("n", weights.shape[1], "h", "w"), ("n", weights.shape[0], "p", "q")
    return save(path, [NODE("Conv", ["x", "weights"], ["y"])], shapes, {"weights": weights})


def window_mean(path: Path) -> Path:
    """Everywhere the mean of the whole window: no two windows agree where they overlap."""
    nodes = [
        NODE("ReduceMean", ["x", "axes"], ["one"], keepdims=1),
        NODE("Mul", ["x", "zero"], ["none"]),
        NODE("Add", ["one", "none"], ["y"]),
    ]
    weights: dict[str, NDArray[Any]] = {"axes": np.array([2, 3], np.int64), "zero": np.zeros(1, np.float32)}
    return save(path, nodes, (("n", 1, "h", "w"), ("n", 1, "h", "w")), weights)


def labels(path: Path) -> Path:
    """The number of the greatest channel, as whole numbers."""
    node = NODE("ArgMax", ["x"], ["y"], axis=1, keepdims=0)
    return save(path, [node], (("n", "c", "h", "w"), ("n", "h", "w")), {}, TensorProto.INT64)


def cast(path: Path, source: int) -> Path:
    """The same numbers as float32, of a model that takes others."""
    shape = ("n", "c", "h", "w")
    return save(path, [NODE("Cast", ["x"], ["y"], to=TensorProto.FLOAT)], (shape, shape), {}, source=source)


def difference(path: Path) -> Path:
    """(first - second) / (first + second) of its first two channels."""
    nodes = [
        NODE("Slice", ["x", "zero", "one", "one"], ["a"]),
        NODE("Slice", ["x", "one", "two", "one"], ["b"]),
        NODE("Sub", ["a", "b"], ["top"]),
        NODE("Add", ["a", "b"], ["bottom"]),
        NODE("Div", ["top", "bottom"], ["y"]),
    ]
    weights = {name: np.array([number], np.int64) for number, name in enumerate(("zero", "one", "two"))}
    return save(path, nodes, (("n", "c", "h", "w"), ("n", 1, "h", "w")), weights)
