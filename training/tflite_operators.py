"""TFLite's operators in terms of ONNX: only those that MediaPipe's models use.

The three operators of the face mesh with attention that exist only in MediaPipe
(mediapipe/util/tflite/operations, version 2 of each) are written out in standard ONNX operators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite
from flatbuffers import flexbuffers
from onnx import TensorProto

from training.tflite_onnx import TO_NCHW, Graph, Writer

_ACTIVATIONS = {tflite.ActivationFunctionType.NONE: "", tflite.ActivationFunctionType.RELU: "Relu"}


def _options(operator: Any, kind: Any) -> Any:
    options = kind()
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options


def custom_options(operator: Any) -> dict[str, Any]:
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
    """MediaPipe's Convolution2DTransposeBias;
    its options are the C struct (padding, stride_width, stride_height)."""
    padding, stride_w, stride_h = np.frombuffer(
        operator.CustomOptionsAsNumpy().tobytes()[:12], np.int32
    ).tolist()
    weight = graph.known(inputs[1])
    assert padding == 1
    assert weight.shape[1:3] == (stride_h, stride_w)
    stored = [graph.store(weight.transpose(3, 0, 1, 2)), graph.store(graph.known(inputs[2]))]
    return graph.add("ConvTranspose", graph.name(inputs[0]), *stored, strides=[stride_h, stride_w])


def _pool(kind: str) -> Writer:
    def write(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
        options = _options(operator, tflite.Pool2DOptions)
        window = _window(graph, inputs[0], (options.FilterHeight(), options.FilterWidth()), options)
        return _activated(
            graph, graph.add(kind, graph.name(inputs[0]), **window), options.FusedActivationFunction()
        )

    return write


def _arithmetic(kind: str, options_kind: Any) -> Writer:
    def write(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
        value = graph.add(kind, graph.name(inputs[0]), graph.name(inputs[1]))
        return _activated(graph, value, _options(operator, options_kind).FusedActivationFunction())

    return write


def _unary(kind: str) -> Writer:
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
    pads = graph.known(inputs[1])[list(TO_NCHW)]
    return graph.add("Pad", graph.name(inputs[0]), graph.integers(*pads[:, 0].tolist(), *pads[:, 1].tolist()))


def _reshape(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    shape = graph.shape(output)
    value = graph.add("Reshape", graph.nhwc(inputs[0]), graph.integers(*shape))
    return graph.add("Transpose", value, perm=TO_NCHW) if len(shape) == 4 else value


def _concat(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    axis = _options(operator, tflite.ConcatenationOptions).Axis() % len(graph.shape(output))
    axis = TO_NCHW.index(axis) if len(graph.shape(output)) == 4 else axis
    return graph.add("Concat", *(graph.name(i) for i in inputs), axis=axis)


def _resize(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    options = _options(operator, tflite.ResizeBilinearOptions)
    mode = (
        "half_pixel"
        if options.HalfPixelCenters()
        else "align_corners"
        if options.AlignCorners()
        else "asymmetric"
    )
    batch, height, width, channels = graph.shape(output)
    sizes = graph.integers(batch, channels, height, width)
    return graph.add(
        "Resize", graph.name(inputs[0]), "", "", sizes, mode="linear", coordinate_transformation_mode=mode
    )


def _depth_to_space(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    size = _options(operator, tflite.DepthToSpaceOptions).BlockSize()
    return graph.add("DepthToSpace", graph.name(inputs[0]), blocksize=size, mode="DCR")


def _dense(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    flat = graph.add("Reshape", graph.nhwc(inputs[0]), graph.integers(1, -1))
    stored = [graph.store(graph.known(inputs[1])), graph.store(graph.known(inputs[2]))]
    value = graph.add("Gemm", flat, *stored, transB=1)
    return _activated(
        graph, value, _options(operator, tflite.FullyConnectedOptions).FusedActivationFunction()
    )


def _slice(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    """Only the slice that takes everything occurs."""
    assert graph.shape(inputs[0]) == graph.shape(output)
    return graph.name(inputs[0])


def _crop_matrix(graph: Graph, operator: Any, inputs: list[int], output: int) -> str:
    """Landmarks2TransformMatrix: (1, 468, 3) landmarks → (1, 4, 4) from crop to picture coordinates."""
    options = custom_options(operator)
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
    grid = (
        np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2).astype(np.float32) + 0.5
    )
    turn, shift = _affine(graph, inputs[1])
    place = graph.add("Add", graph.add("MatMul", graph.store(grid), turn), shift)
    # 0 … size − 1 becomes −1 … 1, GridSample's range
    last = np.array([columns - 1, rows - 1], np.float32)
    place = graph.add(
        "Mul", graph.add("Sub", place, graph.floats(0.5, 0.5)), graph.floats(*(2 / last).tolist())
    )
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


WRITERS: dict[str, Writer] = {
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
