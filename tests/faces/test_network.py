"""The converted networks give what TensorFlow Lite gives for the published ones."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from echomimic.faces.network import infer

# Every n-th value of each output, from LiteRT with the .tflite files of mediapipe 0.10.21, decoded as the
# graphs do.
RECORDED = json.loads((Path(__file__).parent / "networks.json").read_text())
SIDES = {
    "face_short": 128,
    "face_full": 192,
    "person": 256,
    "pose_find": 224,
    "pose_points": 256,
    "palm_find": 192,
    "hand_points": 224,
}


def waves(side: int) -> NDArray[np.float32]:
    """A picture anyone can make again."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float64) / side
    planes = [np.sin(7 * x + 3 * y), np.cos(5 * x * y + 1), np.sin(9 * y - 4 * x)]
    return (0.5 + 0.4 * np.stack(planes, -1))[None].astype(np.float32)


@pytest.mark.parametrize("name", SIDES)
def test_outputs_are_those_of_tflite(name: str) -> None:
    found = infer(name, waves(SIDES[name]))
    assert set(found) == set(RECORDED[name])
    for output, values in RECORDED[name].items():
        flat = found[output].ravel()
        assert flat[:: max(1, flat.size // 12)][:12] == pytest.approx(values, rel=2e-3, abs=2e-4)


def test_the_models_stay_small_and_carry_their_licence() -> None:
    folder = files("echomimic.faces") / "models"
    sizes = {Path(str(entry)).name: len(entry.read_bytes()) for entry in folder.iterdir()}
    needed_for_faces = ("face_short.onnx", "face_full.onnx", "face_mesh.onnx", "person.onnx")
    assert sum(sizes[name] for name in needed_for_faces) < 5e6
    assert sum(sizes.values()) < 25e6
    assert "Apache License" in (folder / "LICENSE.mediapipe.txt").read_text()
    assert all(name in (folder / "NOTICE.md").read_text() for name in sizes if name.endswith(".onnx"))
