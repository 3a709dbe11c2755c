"""Deterministic weights and inputs of the parity fixtures, as a pure function of a text label.

The label's SHA-256 seeds PCG64; its raw 64-bit draws become float32 by integer arithmetic and correctly
rounded operations only, so the numbers are the same on every machine. "normal" is the sum of the four 16-bit
lanes of one draw, centred and scaled to variance 1.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

LANE_MEAN = 4 * 65535 / 2.0
LANE_SCALE = 1.0 / math.sqrt(4.0 * (65536.0 * 65536.0 - 1.0) / 12.0)


def _raw(label: str, count: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(label.encode()).digest(), "little")
    return np.random.PCG64(seed).random_raw(count).astype(np.uint64, copy=False)


def _normal(label: str, count: int) -> np.ndarray:
    raw = _raw(label, count)
    lanes = sum((raw >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48))
    return (np.asarray(lanes).astype(np.float64) - LANE_MEAN) * LANE_SCALE


def is_computed(key: str) -> bool:
    """Whether a model computes this buffer itself, so that no weight is drawn for it."""
    return key.endswith(".pe") or key == "pe" or key == "encoder.positional_embedding"


def _gain(key: str, dimensions: int) -> float:
    if any(part in key for part in ("conv_shortcut", "downsamplers", "upsamplers")):
        return 1.0
    if "proj_out." in key:
        return 0.05
    if "resnets." in key and ".conv2." in key:
        return 0.25
    if key.endswith(("to_q.weight", "to_k.weight", "query.weight", "key.weight")):
        return 2.0
    return 2.0 if dimensions >= 3 else 1.0


def weight(key: str, shape: Sequence[int], salt: str = "") -> np.ndarray:
    """float32 weight of one state-dict key."""
    values = _normal(salt + key, math.prod(shape))
    if len(shape) == 1:
        values = values * 0.05 if "bias" in key.rsplit(".", 1)[-1] else 1.0 + values * 0.1
    else:
        values = values * math.sqrt(_gain(key, len(shape)) / math.prod(shape[1:]))
    return values.astype(np.float32).reshape(shape)


def state_dict(manifest: Mapping[str, Sequence[int]], salt: str = "") -> dict[str, np.ndarray]:
    """Weights for every key of a manifest, computed buffers left out."""
    return {key: weight(key, shape, salt) for key, shape in manifest.items() if not is_computed(key)}


def array(name: str, shape: Sequence[int], kind: str = "normal", salt: str = "") -> np.ndarray:
    """Input array: normal, uniform [0, 1), signed [-1, 1), binary {0, 1} (all float32) or uint8."""
    label, count = f"{salt}input:{name}", math.prod(shape)
    if kind == "normal":
        return _normal(label, count).astype(np.float32).reshape(shape)
    top = (_raw(label, count) >> np.uint64(40)).astype(np.float64)
    values = {
        "uniform": lambda: (top / 16777216.0).astype(np.float32),
        "signed": lambda: (top / 8388608.0 - 1.0).astype(np.float32),
        "uint8": lambda: np.floor(top / 65536.0).astype(np.uint8),
        "binary": lambda: (top >= 8388608.0).astype(np.float32),
    }[kind]()
    return np.asarray(values.reshape(shape))
