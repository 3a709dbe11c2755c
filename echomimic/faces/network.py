"""The shipped networks, run by onnxruntime: each made when first used, once per process."""

from __future__ import annotations

import functools
import os
from importlib.resources import files
from typing import TYPE_CHECKING

from echomimic.arrays import Floats

if TYPE_CHECKING:
    import onnxruntime


# Networks this small lose more by waiting for a second thread than they gain, least of all beside a renderer.
_THREADS = 1
_ERRORS_ONLY = 3


@functools.cache
def _session(name: str) -> onnxruntime.InferenceSession:
    # Microsoft's builds report home and write a device id unless this is set before they are loaded.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    stored = files(__package__).joinpath(f"models/{name}.onnx").read_bytes()
    return onnxruntime.InferenceSession(stored, options, providers=["CPUExecutionProvider"])


def infer(name: str, pixels: Floats) -> dict[str, Floats]:
    """The named outputs of models/`name`.onnx for pixels (1, H, W, 3) float32 in the range that model wants.

    The models and their outputs are described in training/convert_mediapipe.py.
    """
    session = _session(name)
    results: list[Floats] = session.run(None, {"pixels": pixels})
    return {output.name: result for output, result in zip(session.get_outputs(), results, strict=True)}
