"""MediaPipe's published models as the ONNX files of `echomimic/faces/models`.

    pip download --no-deps mediapipe==0.10.21
    python -m training.convert_mediapipe --wheel mediapipe-0.10.21-*.whl -o echomimic/faces/models

Needs the packages `onnx`, `tflite` and `flatbuffers` (no dependencies of echomimic); gives the same bytes
each time. What MediaPipe does around its networks without a choice is written into the graphs: anchors are
added to boxes, scores pass the sigmoid, lips, eyes and irises replace the mesh's own points. So each file
takes `pixels` and gives results in fractions of its input's side.
"""

from __future__ import annotations

import argparse
import ast
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

from training.tflite_onnx import Graph
from training.tflite_operators import WRITERS, custom_options

Outputs = tuple[dict[str, str], dict[str, tuple[int, ...]]]


def anchors(side: int, strides: tuple[int, ...], per_layer: int) -> np.ndarray:
    """(n, 2) centres x, y in 0…1 of a single-shot detector's anchors;
    layers of equal stride share their cells."""
    centres = []
    for stride in dict.fromkeys(strides):
        cells = side // stride
        axis = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        centres.append(np.repeat(grid, per_layer * strides.count(stride), 0))
    return np.concatenate(centres).astype(np.float32)


def detector(side: int, strides: tuple[int, ...], per_layer: int) -> Callable[[Graph], Outputs]:
    """`boxes` (n, 4 + 2·k): centre x, y, width, height, then k points x, y; `scores` (n,)."""

    def outputs(graph: Graph) -> Outputs:
        raw, logits = graph.outputs()
        count, numbers = graph.shape(int(graph.graph.Outputs(0)))[1:]
        centres = anchors(side, strides, per_layer)
        assert len(centres) == count
        offset = np.tile(centres, numbers // 2)
        offset[:, 2:4] = 0
        flat = graph.add("Reshape", raw, graph.integers(count, numbers))
        boxes = graph.add("Add", graph.add("Mul", flat, graph.floats(1 / side)), graph.store(offset))
        scores = graph.add("Sigmoid", graph.add("Reshape", logits, graph.integers(count)))
        return {"boxes": boxes, "scores": scores}, {"boxes": (count, numbers), "scores": (count,)}

    return outputs


def face_mesh(graph: Graph) -> Outputs:
    """`points` (478, 3) and `score` (1,): as MediaPipe's LandmarksRefinementCalculator joins them."""
    mesh, *parts, flag = graph.outputs()
    regions = [
        options["subset_idxs"]
        for options in map(custom_options, _operators(graph))
        if "subset_idxs" in options
    ]
    source = np.arange(478)
    offset = 468
    for region in [*regions, range(468, 473), range(473, 478)]:
        source[list(region)] = offset + np.arange(len(region))
        offset += len(region)
    side = graph.floats(1 / 192)
    mesh = graph.add("Mul", graph.add("Reshape", mesh, graph.integers(468, 3)), side)
    plane = graph.add("Gather", mesh, graph.integers(0, 1), axis=1)
    fine = [graph.add("Mul", graph.add("Reshape", part, graph.integers(-1, 2)), side) for part in parts]
    plane = graph.add(
        "Gather", graph.add("Concat", plane, *fine, axis=0), graph.integers(*source.tolist()), axis=0
    )
    depth = graph.add("Gather", mesh, graph.integers(2), axis=1)
    irises = []
    for region in regions[1:]:
        # an iris lies as deep as the rim of its eye, the first 16 points of the region
        rim = graph.add("Gather", depth, graph.integers(*region[:16]), axis=0)
        mean = graph.add("ReduceMean", rim, axes=[0], keepdims=1)
        irises.append(graph.add("Expand", mean, graph.integers(5, 1)))
    points = graph.add("Concat", plane, graph.add("Concat", depth, *irises, axis=0), axis=1)
    score = graph.add("Sigmoid", graph.add("Reshape", flag, graph.integers(1)))
    return {"points": points, "score": score}, {"points": (478, 3), "score": (1,)}


def segmentation(graph: Graph) -> Outputs:
    """`mask` (256, 256): 1 on the person."""
    (mask,) = graph.outputs()
    return {"mask": graph.add("Reshape", mask, graph.integers(256, 256))}, {"mask": (256, 256)}


def pose(graph: Graph) -> Outputs:
    """`points` (39, 5): x, y, z, visibility and presence (logits); `score` (1,);
    `heatmap` (64, 64, 39), logits."""
    points, score, _, heatmap, _ = graph.outputs()
    scale = np.array([1 / 256] * 3 + [1] * 2, np.float32)
    points = graph.add("Mul", graph.add("Reshape", points, graph.integers(39, 5)), graph.store(scale))
    score = graph.add("Reshape", score, graph.integers(1))
    heatmap = graph.add("Reshape", heatmap, graph.integers(64, 64, 39))
    shapes: dict[str, tuple[int, ...]] = {"points": (39, 5), "score": (1,), "heatmap": (64, 64, 39)}
    return {"points": points, "score": score, "heatmap": heatmap}, shapes


def hand(graph: Graph) -> Outputs:
    """`points` (21, 3); `score` (1,); `right` (1,): 1 for a person's own right hand, picture not mirrored."""
    points, score, right, _ = graph.outputs()
    points = graph.add("Mul", graph.add("Reshape", points, graph.integers(21, 3)), graph.floats(1 / 224))
    one = graph.integers(1)
    values = {
        "points": points,
        "score": graph.add("Reshape", score, one),
        "right": graph.add("Reshape", right, one),
    }
    return values, {"points": (21, 3), "score": (1,), "right": (1,)}


MODELS: dict[str, tuple[str, Callable[[Graph], Outputs]]] = {
    "face_short": ("face_detection/face_detection_short_range", detector(128, (8, 16, 16, 16), 2)),
    "face_full": ("face_detection/face_detection_full_range_sparse", detector(192, (4,), 1)),
    "face_mesh": ("face_landmark/face_landmark_with_attention", face_mesh),
    "person": ("selfie_segmentation/selfie_segmentation", segmentation),
    "pose_find": ("pose_detection/pose_detection", detector(224, (8, 16, 32, 32, 32), 2)),
    "pose_points": ("pose_landmark/pose_landmark_full", pose),
    "palm_find": ("palm_detection/palm_detection_full", detector(192, (8, 16, 16, 16), 2)),
    "hand_points": ("hand_landmark/hand_landmark_full", hand),
}


def _operators(graph: Graph) -> list[object]:
    found = []
    for index in range(graph.graph.OperatorsLength()):
        operator = graph.graph.Operators(index)
        if graph.model.OperatorCodes(operator.OpcodeIndex()).CustomCode() and operator.CustomOptionsLength():
            found.append(operator)
    return found


def convert(data: bytes, name: str) -> onnx.ModelProto:
    """One .tflite file as the ONNX model `name` of MODELS."""
    graph = Graph(data)
    graph.translate(WRITERS)
    outputs, shapes = MODELS[name][1](graph)
    return graph.finish(name, outputs, shapes)


def triangles(source: str) -> np.ndarray:
    """(852, 3) triangles of MediaPipe's FACEMESH_TESSELATION: its edges come three by three."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "FACEMESH_TESSELATION":
            assert isinstance(node.value, ast.Call)
            edges = np.array(ast.literal_eval(node.value.args[0])).reshape(-1, 3, 2)
            assert (edges[:, :, 1] == np.roll(edges[:, :, 0], -1, 1)).all()
            return edges[:, :, 0].astype(np.int16)
    raise ValueError("FACEMESH_TESSELATION is not in this wheel: use mediapipe 0.10.21")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wheel", type=Path, required=True, help="mediapipe-0.10.21-….whl")
    parser.add_argument("--motion", type=Path, help="talking_motion.npz: also write canonical_face.npz")
    parser.add_argument("-o", "--output", type=Path, default=Path("echomimic/faces/models"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(arguments.wheel) as wheel:
        for name, (path, _) in MODELS.items():
            model = convert(wheel.read(f"mediapipe/modules/{path}.tflite"), name)
            target = arguments.output / f"{name}.onnx"
            target.write_bytes(model.SerializeToString(deterministic=True))
            print(f"{target}  {target.stat().st_size / 1e6:.2f} MB")
        licence = wheel.read("mediapipe-0.10.21.dist-info/LICENSE")
        (arguments.output / "LICENSE.mediapipe.txt").write_bytes(licence)
        if arguments.motion:
            mesh = triangles(wheel.read("mediapipe/python/solutions/face_mesh_connections.py").decode())
            with np.load(arguments.motion) as motion:
                mean, mirror = motion["mean"].astype(np.float32), motion["mirror"].astype(np.int16)
            np.savez_compressed(
                arguments.output / "canonical_face.npz", mean=mean, mirror=mirror, triangles=mesh
            )


if __name__ == "__main__":
    main()
