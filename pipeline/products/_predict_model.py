"""A user's ONNX model: read once a process, known by its digest, and run so that equal input gives equal bytes."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, JobError, PermanentAssetError, TransientAssetError
from pipeline.products._predict_config import PredictConfig
from pipeline.read.access import Access, check_href
from pipeline.read.fetch import Unsupported, open_source
from pipeline.types import Json

KEPT = 2
"""Models that a process keeps."""
_LIBRARIES = ("onnx", "onnxruntime")


@dataclass(frozen=True)
class Tensor:
    """What goes into a model, or comes out of it."""

    name: str
    dtype: str
    """NumPy's name of it."""
    shape: tuple[int, ...]
    """-1 along an axis without a fixed length."""


@dataclass(frozen=True)
class Facts:
    """What a model says of itself."""

    sha256: str
    ir_version: int
    opset: dict[str, int]
    """Version by domain of operators; ONNX's own is `ai.onnx`."""
    producer: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def describe(self) -> Json:
        """For the item: whoever has the file can tell that it is this one."""
        import onnxruntime  # noqa: PLC0415 (an extra)

        return {**asdict(self), "runtime": f"onnxruntime {onnxruntime.__version__}"}


@dataclass(frozen=True, eq=False)
class Model:
    """A model that is ready to run; threads may share it."""

    facts: Facts
    source: Tensor
    """What it takes."""
    result: Tensor
    session: Any

    def run(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """What it results in, in its own dtype; values are cast to what it takes. Raises JobError with its words."""
        given = _cast(values, self.source.dtype)
        try:
            (found,) = self.session.run([self.result.name], {self.source.name: given})
        except _runtime_errors() as error:
            raise JobError(f"the model could not be run: {' '.join(str(error).split())}") from error
        return np.asarray(found)


def _cast(values: NDArray[np.float32], name: str) -> NDArray[Any]:
    """Values in another dtype, whole numbers the nearest ones. Raises JobError for one that it does not hold."""
    dtype = np.dtype(name)
    if dtype.kind in "iub":
        least, greatest = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        values = np.rint(values)
    elif name == "float16":
        least, greatest = -65504, 65504
    else:
        return values.astype(dtype, copy=False)
    lowest, highest = float(values.min()), float(values.max())
    if not (least <= lowest and highest <= greatest):
        raise JobError(
            f"the model takes {name}, {least} to {greatest}; found {lowest:g} to {highest:g}: set scale, offset or "
            "clip of its channels"
        )
    return values.astype(dtype)


def need_libraries() -> None:
    """Raise ConfigError where the libraries that run models are not installed."""
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"product predict: found no {' and '.join(missing)}; install the extra: pip install 'groundswell[onnx]'"
        )


def open_model(config: PredictConfig) -> Model:
    """The model of an entry, from the few that this process keeps by digest, or else read and checked.

    Raises AssetError where it cannot be read or is another one than was planned with, and JobError for one that does
    not fit the entry.
    """
    key = os.getpid(), config.file_sha256, config.output
    with _LOCK:
        model = _MODELS.pop(key, None) or _load(config)
        _MODELS[key] = model
        if len(_MODELS) > KEPT:
            _MODELS.popitem(last=False)
    check_model(model.source, config)
    return model


_LOCK = threading.Lock()
_MODELS: OrderedDict[tuple[int, str, str | None], Model] = OrderedDict()


def look_at_file(config: PredictConfig) -> tuple[int, Tensor] | None:
    """Size of the model in bytes and what it takes; None where it does not lie on this machine.

    Raises ConfigError where it does not fit the entry.
    """
    if "://" in config.model or not Path(config.model).is_file():
        return None
    body = Path(config.model).read_bytes()
    try:
        source, _ = _ends(read_facts(body, config.model), config)
        check_model(source, config)
    except JobError as error:
        raise ConfigError(f"product {config.name}: {error}") from error
    return len(body), source


def check_model(source: Tensor, config: PredictConfig) -> None:
    """Raise JobError unless the model takes what the entry says: axes by `layout`, and as many of each."""
    sides = {"n": config.batch, "c": len(config.channels), "h": config.window_px, "w": config.window_px}
    keys = {"n": "batch", "c": "channels", "h": "window_px", "w": "window_px"}
    if len(source.shape) != len(config.layout):
        raise JobError(
            f"{config.model}: its input {source.name} has the shape {source.shape}; expected {len(config.layout)} axes "
            f"for layout {config.layout}"
        )
    for axis, found in zip(config.layout, source.shape, strict=True):
        if axis in sides and found not in {-1, sides[axis]}:
            raise JobError(
                f"{config.model}: its input {source.name} has the shape {source.shape}, by layout {config.layout} "
                f"{found} along {axis}; found {sides[axis]} in {keys[axis]}"
            )


def check_steps(source: Tensor, layout: str, steps: Sequence[date]) -> None:
    """Raise JobError unless a model that takes a number of steps in time is given so many."""
    if "t" in layout and source.shape[layout.index("t")] not in {-1, len(steps)}:
        raise JobError(
            f"the model takes {source.shape[layout.index('t')]} steps in time; found {len(steps)} for this tile and "
            f"period: {', '.join(map(str, steps))}"
        )


def read_facts(body: bytes, name: str) -> Facts:
    """What a model says of itself. Raises PermanentAssetError for bytes that are no ONNX model, or not all of it."""
    import onnx  # noqa: PLC0415 (an extra)

    try:
        proto = onnx.load_model_from_string(body)
    except import_module("google.protobuf.message").DecodeError as error:  # of the format that onnx is written in
        raise PermanentAssetError(name, f"found no ONNX model: {error}") from error
    if not proto.graph.node:
        raise PermanentAssetError(name, "found no ONNX model: there is no graph in it")
    parts = [proto.graph.node, *(function.node for function in proto.functions)]
    tensors = [*proto.graph.initializer, *(tensor for nodes in parts for tensor in _tensors(nodes))]
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors):
        # They could be read from anywhere on a worker.
        raise PermanentAssetError(name, "found weights that lie in other files; expected a model that is one file")
    weights = {one.name for one in proto.graph.initializer}
    return Facts(
        sha256=hashlib.sha256(body).hexdigest(),
        ir_version=proto.ir_version,
        opset={one.domain or "ai.onnx": one.version for one in proto.opset_import},
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        inputs=tuple(_tensor(one) for one in proto.graph.input if one.name not in weights),
        outputs=tuple(_tensor(one) for one in proto.graph.output),
    )


def _tensors(nodes: Iterable[Any]) -> Iterator[Any]:
    """All numbers inside of operators, those of graphs within them included."""
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for graph in (attribute.g, *attribute.graphs):
            yield from graph.initializer
            yield from _tensors(graph.node)


def _tensor(value: Any) -> Tensor:
    import onnx  # noqa: PLC0415 (as above)

    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name if kind.elem_type else "unknown"
    sides = [side.dim_value if side.HasField("dim_value") else -1 for side in kind.shape.dim]
    return Tensor(value.name, dtype, tuple(sides))


def _load(config: PredictConfig) -> Model:
    body = _read(config)
    facts = read_facts(body, config.model)
    if facts.sha256 != config.file_sha256:
        raise PermanentAssetError(
            config.model,
            f"found a model with digest {facts.sha256}, planned was {config.file_sha256}: it was replaced; "
            "run again, or correct the entry's digest",
        )
    source, result = _ends(facts, config)
    return Model(facts, source, result, _session(body, config.model))


def _ends(facts: Facts, config: PredictConfig) -> tuple[Tensor, Tensor]:
    """What the model takes and results in. Raises JobError where that is not one each."""
    results = [one for one in facts.outputs if config.output in {None, one.name}]
    if len(facts.inputs) != 1 or len(results) != 1:
        raise JobError(
            f"{config.model}: found the inputs {_names(facts.inputs)} and the outputs {_names(facts.outputs)}; "
            f"expected one input, and one output{f' {config.output}' if config.output else ', or its name as output'}"
        )
    return facts.inputs[0], results[0]


def _names(tensors: Sequence[Tensor]) -> str:
    return ", ".join(tensor.name for tensor in tensors) or "(none)"


def _read(config: PredictConfig) -> bytes:
    storage = config.storage
    access = Access() if storage is None else Access(**storage.model_dump())
    check_href(config.model, access)
    try:
        with open_source(config.model, access) as source:
            (body,) = source.ranges([(0, source.version.size)])
            return bytes(body)
    except Unsupported as reason:
        raise PermanentAssetError(config.model, f"the model cannot be read: {reason}") from reason
    except OSError as error:
        kind = TransientAssetError if "://" in config.model else PermanentAssetError
        raise kind(config.model, f"the model cannot be read on this worker: {error}") from error


def _session(body: bytes, name: str) -> Any:
    """One thread a run: its sums are then in one order, and several runs of a worker share its cores."""
    import onnxruntime  # noqa: PLC0415 (an extra)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.enable_cpu_mem_arena = False  # what a run used is given back
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise PermanentAssetError(name, f"the model cannot be loaded: {' '.join(str(error).split())}") from error


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Everything that the runtime raises: its errors have no common base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415 (an extra)

    own = [one for one in vars(state).values() if isinstance(one, type) and issubclass(one, Exception)]
    return (*own, RuntimeError)  # the latter for dtypes that NumPy does not have
