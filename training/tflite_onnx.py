"""A plain reader of MediaPipe's .tflite files that writes ONNX: only the operators those models use.

A TFLite tensor of four dimensions is NHWC; here it becomes NCHW, others keep their layout. float16 weights stay
float16 in the file and are cast when a session is made. The three operators of the face mesh with attention that exist
only in MediaPipe (mediapipe/util/tflite/operations, version 2 of each) are written out in standard ONNX operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
import tflite
from flatbuffers import flexbuffers
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
_ACTIVATIONS = {tflite.ActivationFunctionType.NONE: "", tflite.ActivationFunctionType.RELU: "Relu"}
_TO_NCHW = (0, 3, 1, 2)
_TO_NHWC = (0, 2, 3, 1)


class Graph:
    """One TFLite model on its way to ONNX: the operators not yet written are read, the written ones are in `nodes`."""

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
            self.names[tensor] = self.store(array.transpose(_TO_NCHW) if array.ndim == 4 else array)
        return self.names[tensor]

    def constant(self, tensor: int) -> Array | None:
        """The stored value of a TFLite tensor, or None for one that is computed."""
        if tensor not in self.constants:
            entry = self.graph.Tensors(tensor)
            buffer = self.model.Buffers(entry.Buffer())
            if not buffer.DataLength() or entry.Type() not in _DTYPES:
                return None
            values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _DTYPES[entry.Type()])
            self.constants[tensor] = densify(values, entry) if entry.Sparsity() else values.reshape(self.shape(tensor))
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

    def translate(self) -> None:
        """Writes all operators; the model's inputs are NHWC values named `pixels`."""
        self.names[self.graph.Inputs(0)] = self.add("Transpose", "pixels", perm=_TO_NCHW)
        for index in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(index)
            code = self.model.OperatorCodes(operator.OpcodeIndex())
            kind = _OPERATORS[max(code.DeprecatedBuiltinCode(), code.BuiltinCode())]
            write = _WRITERS[code.CustomCode().decode() if kind == "CUSTOM" else kind]
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
        return self.add("Transpose", name, perm=_TO_NHWC) if len(self.shape(tensor)) == 4 else name

    def finish(self, name: str, outputs: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
        """The checked model; `outputs` maps public names to values of the graph."""
        for public, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [public]))
        self._prune(set(outputs))
        pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, self.shape(self.graph.Inputs(0)))
        results = [helper.make_tensor_value_info(public, TensorProto.FLOAT, shapes[public]) for public in outputs]
        graph = helper.make_graph(self.nodes, name, [pixels], results, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="echomimic")
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
    return vector.ValuesAsNumpy().astype(np.int64)


def _options(operator: Any, kind: Any) -> Any:
    options = kind()
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options


def _custom(operator: Any) -> dict[str, Any]:
    return dict(flexbuffers.Loads(operator.CustomOptionsAsNumpy().tobytes()))


def _activated(graph: Graph, value: str, function: int) -> str:
    if function == tflite.ActivationFunctionType.RELU6:
        return graph.add("Clip", value, graph.store(np.float32(0)), graph.store(np.float32(6)))
    kind = _ACTIVATIONS[function]
    return graph.add(kind, value) if kind else value


def _same(size: int, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """TFLite's padding before and after along one axis."""
    if padding != tflite.Padding.SAME:
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _window(graph: Graph, source: int, kernel: tuple[int, int], options: Any) -> dict[str, list[int]]:
    height, width = graph.shape(source)[1:3]
    strides = [options.StrideH(), options.StrideW()]
    top, bottom = _same(height, kernel[0], strides[0], options.Padding())
    left, right = _same(width, kernel[1], strides[1], options.Padding())
    return {"kernel_shape": list(kernel), "strides": strides, "pads": [top, left, bottom, right]}


def _conv(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    options = _options(operator, tflite.Conv2DOptions)
    assert options.DilationHFactor() == options.DilationWFactor() == 1
    weight = graph.known(inputs[1])
    window = _window(graph, inputs[0], weight.shape[1:3], options)
    stored = [graph.store(weight.transpose(0, 3, 1, 2)), graph.store(graph.known(inputs[2]))]
    value = graph.add("Conv", graph.name(inputs[0]), *stored, **window)
    return _activated(graph, value, options.FusedActivationFunction())


def _depthwise(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    options = _options(operator, tflite.DepthwiseConv2DOptions)
    dilations = [options.DilationHFactor(), options.DilationWFactor()]
    assert dilations == [1, 1]
    weight = graph.known(inputs[1])
    window = _window(graph, inputs[0], weight.shape[1:3], options)
    stored = [graph.store(weight.transpose(3, 0, 1, 2)), graph.store(graph.known(inputs[2]))]
    value = graph.add("Conv", graph.name(inputs[0]), *stored, group=graph.shape(inputs[0])[3], **window)
    return _activated(graph, value, options.FusedActivationFunction())


def _transposed_conv(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    """MediaPipe's Convolution2DTransposeBias; its options are the C struct (padding, stride_width, stride_height)."""
    padding, stride_w, stride_h = np.frombuffer(operator.CustomOptionsAsNumpy().tobytes()[:12], np.int32).tolist()
    weight = graph.known(inputs[1])
    assert padding == 1
    assert weight.shape[1:3] == (stride_h, stride_w)
    stored = [graph.store(weight.transpose(3, 0, 1, 2)), graph.store(graph.known(inputs[2]))]
    return graph.add("ConvTranspose", graph.name(inputs[0]), *stored, strides=[stride_h, stride_w])


def _pool(kind: str) -> Callable[[Graph, Any, list[int], int], str]:
    def write(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
        options = _options(operator, tflite.Pool2DOptions)
        window = _window(graph, inputs[0], (options.FilterHeight(), options.FilterWidth()), options)
        return _activated(graph, graph.add(kind, graph.name(inputs[0]), **window), options.FusedActivationFunction())

    return write


def _arithmetic(kind: str, options_kind: Any) -> Callable[[Graph, Any, list[int], int], str]:
    def write(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
        value = graph.add(kind, graph.name(inputs[0]), graph.name(inputs[1]))
        return _activated(graph, value, _options(operator, options_kind).FusedActivationFunction())

    return write


def _unary(kind: str) -> Callable[[Graph, Any, list[int], int], str]:
    def write(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
        return graph.add(kind, graph.name(inputs[0]))

    return write


def _stored(graph: Graph, operator: Any, inputs: list[int], output: int) -> None:
    """DEQUANTIZE and DENSIFY of a weight: the weight itself."""
    graph.constants[output] = graph.known(inputs[0])


def _prelu(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    return graph.add("PRelu", graph.name(inputs[0]), graph.store(graph.known(inputs[1]).transpose(2, 0, 1)))


def _mean(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    assert sorted(graph.known(inputs[1]).tolist()) == [1, 2]
    keep = len(graph.shape(output)) == 4
    return graph.add("ReduceMean", graph.name(inputs[0]), axes=[2, 3], keepdims=int(keep))


def _pad(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    pads = graph.known(inputs[1])[list(_TO_NCHW)]
    return graph.add("Pad", graph.name(inputs[0]), graph.integers(*pads[:, 0].tolist(), *pads[:, 1].tolist()))


def _reshape(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    shape = graph.shape(output)
    value = graph.add("Reshape", graph.nhwc(inputs[0]), graph.integers(*shape))
    return graph.add("Transpose", value, perm=_TO_NCHW) if len(shape) == 4 else value


def _concat(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    axis = _options(operator, tflite.ConcatenationOptions).Axis() % len(graph.shape(output))
    axis = _TO_NCHW.index(axis) if len(graph.shape(output)) == 4 else axis
    return graph.add("Concat", *(graph.name(i) for i in inputs), axis=axis)


def _resize(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    options = _options(operator, tflite.ResizeBilinearOptions)
    mode = "half_pixel" if options.HalfPixelCenters() else "align_corners" if options.AlignCorners() else "asymmetric"
    batch, height, width, channels = graph.shape(output)
    sizes = graph.integers(batch, channels, height, width)
    return graph.add("Resize", graph.name(inputs[0]), "", "", sizes, mode="linear", coordinate_transformation_mode=mode)


def _depth_to_space(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    size = _options(operator, tflite.DepthToSpaceOptions).BlockSize()
    return graph.add("DepthToSpace", graph.name(inputs[0]), blocksize=size, mode="DCR")


def _dense(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    flat = graph.add("Reshape", graph.nhwc(inputs[0]), graph.integers(1, -1))
    stored = [graph.store(graph.known(inputs[1])), graph.store(graph.known(inputs[2]))]
    value = graph.add("Gemm", flat, *stored, transB=1)
    return _activated(graph, value, _options(operator, tflite.FullyConnectedOptions).FusedActivationFunction())


def _slice(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    """Only the slice that takes everything occurs."""
    assert graph.shape(inputs[0]) == graph.shape(output)
    return graph.name(inputs[0])


def _crop_matrix(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    """Landmarks2TransformMatrix: (1, 468, 3) landmarks → (1, 4, 4) from crop to picture coordinates."""
    options = _custom(operator)
    assert options["target_rotation_radians"] == 0
    points = graph.add(
        "Gather", graph.add("Squeeze", graph.name(inputs[0]), graph.integers(0)), graph.integers(0, 1), axis=1
    )
    ends = [
        graph.add("Gather", points, graph.integers(options[f"{side}_rotation_idx"]), axis=0)
        for side in ("right", "left")
    ]
    across = graph.add("Sub", *ends)
    unit = graph.add("Div", across, graph.add("ReduceL2", across, axes=[1], keepdims=1))
    # Rows of `turned`: the eye (or lip) line and its normal, so that points @ turned.T lie upright.
    normal = graph.add("Mul", graph.add("Gather", unit, graph.integers(1, 0), axis=1), graph.floats(-1, 1))
    upright = graph.add("Concat", unit, normal, axis=0)
    subset = graph.add("Gather", points, graph.integers(*options["subset_idxs"]), axis=0)
    turned = graph.add("MatMul", subset, graph.add("Transpose", upright, perm=[1, 0]))
    high = graph.add("ReduceMax", turned, axes=[0], keepdims=1)
    low = graph.add("ReduceMin", turned, axes=[0], keepdims=1)
    size = np.array([options["output_width"], options["output_height"]], np.float32)
    scale = np.array([options["scale_x"], options["scale_y"]], np.float32) / size
    extent = graph.add("Mul", graph.add("Sub", high, low), graph.floats(*scale.tolist()))
    middle = graph.add("Mul", graph.add("Add", high, low), graph.floats(0.5))
    corner = graph.add("Sub", middle, graph.add("Mul", extent, graph.floats(*(size / 2).tolist())))
    # rows of the matrix: transpose(upright) · diag(extent), and the corner turned back
    back = graph.add("Mul", graph.add("Transpose", upright, perm=[1, 0]), extent)
    shift = graph.add("Transpose", graph.add("MatMul", corner, upright), perm=[1, 0])
    top = graph.add("Concat", back, graph.store(np.zeros((2, 1), np.float32)), shift, axis=1)
    whole = graph.add("Concat", top, graph.store(np.eye(4, dtype=np.float32)[2:]), axis=0)
    return graph.add("Unsqueeze", whole, graph.integers(0))


def _affine(graph: Graph, matrix: int) -> tuple[str, str]:
    """The (2, 2) part, transposed, and the (1, 2) shift of a (1, 4, 4) matrix."""
    flat = graph.add("Transpose", graph.add("Squeeze", graph.name(matrix), graph.integers(0)), perm=[1, 0])
    columns = graph.add("Gather", flat, graph.integers(0, 1), axis=1)
    return graph.add("Gather", columns, graph.integers(0, 1), axis=0), graph.add(
        "Gather", columns, graph.integers(3), axis=0
    )


def _crop(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    """TransformTensorBilinear: samples (1, H, W, C) at matrix · (x + 0.5, y + 0.5) − 0.5; 0 outside."""
    _, height, width, _ = graph.shape(output)
    _, rows, columns, _ = graph.shape(inputs[0])
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2).astype(np.float32) + 0.5
    turn, shift = _affine(graph, inputs[1])
    place = graph.add("Add", graph.add("MatMul", graph.store(grid), turn), shift)
    # 0 … size − 1 becomes −1 … 1, GridSample's range
    last = np.array([columns - 1, rows - 1], np.float32)
    place = graph.add("Mul", graph.add("Sub", place, graph.floats(0.5, 0.5)), graph.floats(*(2 / last).tolist()))
    place = graph.add("Sub", place, graph.floats(1, 1))
    inside = graph.add(
        "Cast", graph.add("LessOrEqual", graph.add("Abs", place), graph.floats(1, 1)), to=TensorProto.FLOAT
    )
    inside = graph.add("ReduceMin", inside, axes=[1], keepdims=0)
    place = graph.add("Reshape", place, graph.integers(1, height, width, 2))
    taken = graph.add(
        "GridSample", graph.name(inputs[0]), place, align_corners=1, mode="bilinear", padding_mode="border"
    )
    return graph.add("Mul", taken, graph.add("Reshape", inside, graph.integers(1, 1, height, width)))


def _move_points(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    """TransformLandmarks: (1, n, 2) points of a crop → the picture it was cut from."""
    turn, shift = _affine(graph, inputs[1])
    return graph.add("Add", graph.add("MatMul", graph.name(inputs[0]), turn), shift)


_WRITERS: dict[str, Callable[[Graph, Any, list[int], int], str | None]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _pool("MaxPool"),
    "AVERAGE_POOL_2D": _pool("AveragePool"),
    "ADD": _arithmetic("Add", tflite.AddOptions),
    "MUL": _arithmetic("Mul", tflite.MulOptions),
    "RELU": _unary("Relu"),
    "HARD_SWISH": _unary("HardSwish"),
    "LOGISTIC": _unary("Sigmoid"),
    "PRELU": _prelu,
    "MEAN": _mean,
    "PAD": _pad,
    "RESHAPE": _reshape,
    "CONCATENATION": _concat,
    "RESIZE_BILINEAR": _resize,
    "DEPTH_TO_SPACE": _depth_to_space,
    "STRIDED_SLICE": _slice,
    "DEQUANTIZE": _stored,
    "DENSIFY": _stored,
    "Convolution2DTransposeBias": _transposed_conv,
    "Landmarks2TransformMatrix": _crop_matrix,
    "TransformTensorBilinear": _crop,
    "TransformLandmarks": _move_points,
}
