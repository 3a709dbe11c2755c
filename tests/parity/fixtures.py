"""Recorded numbers of the official V1 and V2 code, and the seeded nets and inputs they were recorded with.

Usage::

    from tests.parity import fixtures
    case = fixtures.case("v1_denoise_cfg")        # dict: id, group, config, atol, windows, ...
    given = fixtures.inputs(case)                 # name -> numpy array, seeded, already scaled
    state = fixtures.state(case, "denoising_unet")  # official key -> torch tensor (computed buffers left out)
    expected = fixtures.arrays(case)              # name -> recorded array

Groups: a windows, b audio, c guider, d reference features, e denoiser, f motion module, g sampler and loops,
h drawings, i motion transfer, j face box, k VAE and pictures. Every function takes a case or its id.
"""

import functools
import gzip
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.parity import seeded

GOLDEN = Path(__file__).parent / "golden"
Case = dict[str, Any]


@functools.cache
def _load(name: str) -> Any:
    return json.loads(gzip.decompress((GOLDEN / name).read_bytes()))


def cases(group: str | None = None) -> list[Case]:
    """All cases, or those of one group letter."""
    return [c for c in _load("index.json.gz") if group in (None, c["group"])]


def ids(group: str) -> list[str]:
    """Names of the cases of a group, for ``pytest.mark.parametrize``."""
    return [c["id"] for c in cases(group)]


def case(name: str | Case) -> Case:
    """One case of the index; a case passes through."""
    return name if isinstance(name, dict) else next(c for c in cases() if c["id"] == name)


def arrays(name: str | Case) -> dict[str, np.ndarray]:
    """Every recorded array of a case (expected outputs and, for some groups, inputs)."""
    with np.load(GOLDEN / case(name)["file"]) as stored:
        return {key: stored[key] for key in stored.files}


def inputs(name: str | Case) -> dict[str, np.ndarray]:
    """The seeded inputs of a case, scaled."""
    return {i["name"]: _input(i) for i in case(name).get("inputs", [])}


def _input(spec: Case) -> np.ndarray:
    if spec["kind"] == "rectangle":
        mask = np.zeros(spec["shape"], np.float32)
        mask[..., slice(*spec["rows"]), slice(*spec["cols"])] = 1
        return mask
    drawn = seeded.array(spec["name"], spec["shape"], spec["kind"], spec["salt"])
    return drawn if spec.get("scale", 1.0) == 1.0 else drawn * np.float32(spec["scale"])


def tensors(name: str | Case) -> dict[str, torch.Tensor]:
    """``inputs`` as torch tensors."""
    return {key: torch.from_numpy(value) for key, value in inputs(name).items()}


def manifest(name: str) -> Case:
    """A manifest by name: ``tiny/unet3d_a`` or ``full/denoising_unet``; ``["keys"]`` maps key to shape."""
    found: Case = _load("manifests.json.gz")[name]
    return found


def shapes(name: str) -> dict[str, list[int]]:
    """Key to shape of one manifest."""
    keys: dict[str, list[int]] = manifest(name)["keys"]
    return keys


def state(name: str | Case, component: str) -> dict[str, torch.Tensor]:
    """Seeded state dict of one component of a case (official keys, position tables left out)."""
    row = next(w for w in case(name)["weights"] if w["component"] == component)
    return dict(_state(row["manifest"].removesuffix(".json"), row["salt"]))


@functools.lru_cache(maxsize=8)
def _state(manifest_name: str, salt: str) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(v) for k, v in seeded.state_dict(shapes(manifest_name), salt).items()}


def config(name: str | Case, component: str) -> Case:
    """Configuration of one seeded component, from its manifest."""
    row = next(w for w in case(name)["weights"] if w["component"] == component)
    found: Case = manifest(row["manifest"].removesuffix(".json"))["config"]
    return found


def context() -> Case:
    """Recorded frame windows (group a): ``uniform`` is a list of {args, windows...}, ``raises`` of errors."""
    found: Case = _load("context.json.gz")
    return found


def picture(name: str) -> Path:
    """Path of a recorded 8-bit picture of group h (``v1_landmarks_0.png``)."""
    return GOLDEN / "images" / name


def recording(name: str) -> Path:
    """Path of a recording of group b (``short_24k_mono.wav``)."""
    return GOLDEN / "audio" / name


def samples(name: str) -> np.ndarray:
    """The int16 samples of a recording at its own rate."""
    with wave.open(str(recording(name))) as sound:
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
