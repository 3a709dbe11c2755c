"""A .tflite file on its way to ONNX: tensors, weights and the graph; its operators are in `tflite_operators`.

A TFLite tensor of four dimensions is NHWC; here it becomes NCHW, others keep their layout. float16 weights
stay float16 in the file and are cast when a session is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array: TypeAlias = NDArray[Any]

OPSET = 16
_DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
}
_OPERATORS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
TO_NCHW = (0, 3, 1, 2)
TO_NHWC = (0, 2, 3, 1)

Writer: TypeAlias = Callable[["Graph", Any, list[int], int], "str | None"]
"""Writes one operator, given its inputs and output;
returns the ONNX name of the result, or None for a constant."""


class Graph:
    """One TFLite model on its way to ONNX: the operators not yet written are read,
    the written ones are in `nodes`."""

    def __init__(self, data: bytes) -> None:
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.constants: dict[int, Array] = {}
        self.names: dict[int, str] = {}
        self._count = 0

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(n) for n in self.graph.Tensors(tensor).ShapeAsNumpy())

    def name(self, tensor: int) -> str:
        """The ONNX value that carries a TFLite tensor."""
        if tensor not in self.names:
            array = self.constant(tensor)
            if array is None:
                raise ValueError(f"tensor {tensor} is used before it is made")
            self.names[tensor] = self.store(array.transpose(TO_NCHW) if array.ndim == 4 else array)
        return self.names[tensor]

    def constant(self, tensor: int) -> Array | None:
        """The stored value of a TFLite tensor, or None for one that is computed."""
        if tensor not in self.constants:
            entry = self.graph.Tensors(tensor)
            buffer = self.model.Buffers(entry.Buffer())
            if not buffer.DataLength() or entry.Type() not in _DTYPES:
                return None
            values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _DTYPES[entry.Type()])
            self.constants[tensor] = (
                densify(values, entry) if entry.Sparsity() else values.reshape(self.shape(tensor))
            )
        return self.constants[tensor]

    def known(self, tensor: int) -> Array:
        array = self.constant(tensor)
        if array is None:
            raise ValueError(f"tensor {tensor} is computed, but must be a constant")
        return array

    def store(self, array: Array) -> str:
        """Adds a constant; float16 is kept and cast to float32 by the graph."""
        name = self.fresh("w")
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return self.add("Cast", name, to=TensorProto.FLOAT) if array.dtype == np.float16 else name

    def fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds one ONNX node with one output and returns the output's name."""
        output = self.fresh("v")
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def floats(self, *values: float) -> str:
        return self.store(np.array(values, np.float32))

    def integers(self, *values: int) -> str:
        return self.store(np.array(values, np.int64))

    def translate(self, writers: dict[str, Writer]) -> None:
        """Writes all operators, each by the writer of its name;
        the model's input are NHWC values named `pixels`."""
        self.names[self.graph.Inputs(0)] = self.add("Transpose", "pixels", perm=TO_NCHW)
        for index in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(index)
            code = self.model.OperatorCodes(operator.OpcodeIndex())
            kind = _OPERATORS[max(code.DeprecatedBuiltinCode(), code.BuiltinCode())]
            write = writers[code.CustomCode().decode() if kind == "CUSTOM" else kind]
            inputs = [int(i) for i in operator.InputsAsNumpy()]
            output = int(operator.OutputsAsNumpy()[0])
            result = write(self, operator, inputs, output)
            if result is not None:
                self.names[output] = result

    def outputs(self) -> list[str]:
        """The ONNX names of the TFLite outputs, in the layout of TFLite."""
        tensors = [int(i) for i in self.graph.OutputsAsNumpy()]
        return [self.nhwc(tensor) for tensor in tensors]

    def nhwc(self, tensor: int) -> str:
        name = self.name(tensor)
        return self.add("Transpose", name, perm=TO_NHWC) if len(self.shape(tensor)) == 4 else name

    def finish(
        self, name: str, outputs: dict[str, str], shapes: dict[str, tuple[int, ...]]
    ) -> onnx.ModelProto:
        """The checked model; `outputs` maps public names to values of the graph."""
        for public, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [public]))
        self._prune(set(outputs))
        pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, self.shape(self.graph.Inputs(0)))
        results = [
            helper.make_tensor_value_info(public, TensorProto.FLOAT, shapes[public]) for public in outputs
        ]
        graph = helper.make_graph(self.nodes, name, [pixels], results, self.weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="echomimic"
        )
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        return model

    def _prune(self, wanted: set[str]) -> None:
        """Drops what no output needs."""
        kept = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                kept.append(node)
        self.nodes = kept[::-1]
        self.weights = [weight for weight in self.weights if weight.name in wanted]


def densify(values: Array, entry: Any) -> Array:
    """The dense array of a block-sparse tensor (TFLite schema, SparsityParameters)."""
    shape = tuple(int(n) for n in entry.ShapeAsNumpy())
    sparsity = entry.Sparsity()
    order = [int(i) for i in sparsity.TraversalOrderAsNumpy()]
    blocks = [int(i) for i in sparsity.BlockMapAsNumpy()] if sparsity.BlockMapLength() else []
    levels = [sparsity.DimMetadata(i) for i in range(sparsity.DimMetadataLength())]
    # `place` is the position of each stored value along each traversed dimension, one level at a time.
    previous = np.zeros(1, np.int64)
    place = np.zeros((1, 0), np.int64)
    for level in levels:
        if level.Format() == tflite.DimensionType.DENSE:
            size = level.DenseSize()
            index = np.tile(np.arange(size), len(previous))
            place = np.column_stack([np.repeat(place, size, 0), index])
            previous = np.repeat(previous * size, size) + index
        else:
            segments, indices = (
                _csr(level.ArraySegments, level.ArraySegmentsType()),
                _csr(level.ArrayIndices, level.ArrayIndicesType()),
            )
            counts = segments[previous + 1] - segments[previous]
            taken = np.concatenate([np.arange(segments[p], segments[p + 1]) for p in previous])
            place = np.column_stack([np.repeat(place, counts, 0), indices[taken]])
            previous = taken
    position = np.zeros((len(place), len(shape)), np.int64)
    sizes = {order[i]: levels[i].DenseSize() for i in range(len(shape), len(order))}
    for column, dimension in enumerate(order):
        if dimension < len(shape):
            position[:, dimension] += place[:, column]
        else:
            inner = blocks[dimension - len(shape)]
            position[:, inner] = position[:, inner] * sizes[dimension] + place[:, column]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(position.T)] = values[: len(place)]
    return dense


def _csr(read: Callable[[], Any], kind: int) -> Array:
    vector = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}[kind]()
    table = read()
    vector.Init(table.Bytes, table.Pos)
    return np.asarray(vector.ValuesAsNumpy(), np.int64)
