"""Networks that the user has: an ONNX or TorchScript file given by path, called with arrays, known by its
digest.

Nothing is fetched, no class is unpickled: ONNX runs in onnxruntime, TorchScript in PyTorch's own interpreter.
What each file must take and give is written in docs/evaluate.md and in the adapter's docstring.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray
from echomimic.errors import InputError, ResourceError, WeightsError
from echomimic.evaluate.identity import digest
from echomimic.media.files import check_readable

Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True)
class JudgeNet:
    """A network as a function of arrays;
    `inputs` is how many it takes, `label` its name and digest for people."""

    label: str
    inputs: int
    _call: Callable[..., list[Tensor]]

    def __call__(self, *arrays: Tensor) -> list[Tensor]:
        """All outputs, float32. Raises WeightsError when the network does not take such inputs."""
        if len(arrays) != self.inputs:
            raise WeightsError(
                f"{self.label} takes {self.inputs} inputs, not {len(arrays)}; see docs/evaluate.md"
            )
        try:
            return self._call(*(np.ascontiguousarray(a, np.float32) for a in arrays))
        except Exception as error:
            reason = str(error).strip().splitlines()[-1][:120] if str(error).strip() else type(error).__name__
            shapes = ", ".join(str(a.shape) for a in arrays)
            raise WeightsError(
                f"{self.label} cannot take {shapes} ({reason}); see docs/evaluate.md"
            ) from None


def load_net(path: Path) -> JudgeNet:
    """A network from `.onnx`, or TorchScript from any other suffix.
    Raises WeightsError, ResourceError (no torch)."""
    check_readable(path, _Unreadable, "an ONNX or TorchScript file")
    label = f"{path.name} (sha256 {digest(path)})"
    return _onnx(path, label) if path.suffix.lower() == ".onnx" else _torchscript(path, label)


class _Unreadable(WeightsError, InputError):
    """A weight file that is not there."""


def _onnx(path: Path, label: str) -> JudgeNet:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WeightsError(
            f"{path} is no ONNX file that onnxruntime reads ({_first_line(error)}); export it again"
        ) from None
    names = [given.name for given in session.get_inputs()]
    return JudgeNet(
        label, len(names), lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))
    )


def _torchscript(path: Path, label: str) -> JudgeNet:
    try:
        import torch
    except ImportError:
        raise ResourceError(
            f"{path.name} is TorchScript, which needs torch; install it, or give an .onnx"
        ) from None
    try:
        load: Callable[..., Any] = torch.jit.load
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # new torch would rather have other formats
            module = load(str(path), map_location="cpu").eval()
    except Exception as error:
        raise WeightsError(
            f"{path} is no TorchScript file ({_first_line(error)}); export it with torch.jit"
        ) from None

    def call(*arrays: Tensor) -> list[Tensor]:
        with torch.inference_mode():
            given = module(*(torch.from_numpy(a) for a in arrays))
        outputs: list[Any] = list(given) if isinstance(given, (tuple, list)) else [given]
        return [output.float().numpy() for output in outputs]

    return JudgeNet(label, len(module.forward.schema.arguments) - 1, call)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def planes(pictures: AnyArray) -> Tensor:
    """Pictures (…, H, W, 3) as (…, 3, H, W) float32, values kept."""
    return np.moveaxis(np.asarray(pictures, np.float32), -1, -3)
