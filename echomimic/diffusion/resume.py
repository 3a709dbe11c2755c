"""Going on where an interrupted run stopped: the latents after every step, in a hidden file beside the
output.

The file names the job it belongs to, part by part, so that a changed setting is noticed and can be named. It
is written whole or not at all, and holds numbers only.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from echomimic.conditions import Conditions
from echomimic.diffusion.guides import array_digest
from echomimic.errors import OutputError
from echomimic.media.audio import Speech
from echomimic.media.output import part_of, placed, state_of
from echomimic.version import VERSION

NOT_PART_OF_THE_JOB = ("resume", "weights", "vae", "offload", "device", "devices", "dtype", "paste_back")
"""Settings that change no latent, or that are named otherwise
(the device and format really used, the weights)."""

NAMED_OTHERWISE = ("settings", "driver", "output", "notes")
"""Fields of the conditions that are not named as they are: settings one by one,
the driver by what the guide draws."""
# A minute of samples at a time: a long speech is never in memory as a whole.
_BLOCK = 60 * 16_000
Say = Callable[[str], None]


def forget(output: Path | None) -> None:
    """Removes the state once ``output`` is complete."""
    if output is not None:
        state = state_of(output)
        for left in (state, part_of(state)):
            left.unlink(missing_ok=True)


def job_of(conditions: Conditions, guide: str, **further: str) -> dict[str, str]:
    """What the latents depend on, by name. ``guide`` is the guide's digest;
    ``further`` the weights and the like."""
    settings = {
        key: repr(value) for key, value in _fields(conditions.settings) if key not in NOT_PART_OF_THE_JOB
    }
    found = {key: _name_of(value) for key, value in _fields(conditions) if key not in NAMED_OTHERWISE}
    given = {f"{key} of the video" if key in settings else key: name for key, name in found.items()}
    return {**settings, **given, "guide": guide, "version": f"{VERSION} {torch.__version__}", **further}


def _fields(of: Any) -> list[tuple[str, Any]]:
    """All of a dataclass's fields, so that one that is added later cannot be forgotten here."""
    return [(field.name, getattr(of, field.name)) for field in dataclasses.fields(of)]


def _name_of(value: Any) -> str:
    """A short name of whatever a field holds, that differs when a number in it does."""
    if isinstance(value, Speech):
        return speech_digest(value)
    if isinstance(value, np.ndarray):
        return array_digest(value)
    if dataclasses.is_dataclass(value):
        return array_digest(*(f"{key}={_name_of(part)}" for key, part in _fields(value)))
    return repr(value)


def speech_digest(speech: Speech) -> str:
    """A short name of all its samples."""
    digest = hashlib.sha256()
    for start in range(0, speech.samples, _BLOCK):
        digest.update(speech.read(start, min(start + _BLOCK, speech.samples)).tobytes())
    return digest.hexdigest()[:32]


@dataclass(frozen=True)
class Saved:
    """State after ``done`` steps; ``scheduler`` is what the sampler remembers."""

    done: int
    latents: Tensor
    scheduler: dict[str, Any] = field(default_factory=dict)


# What reading a header raises that is JSON, but not ours.
_MISSHAPEN = (AttributeError, TypeError, RecursionError)


class ResumeFile:
    """The state of one job. ``say`` gets a line when an existing file is not used, or none can be written."""

    def __init__(self, path: Path, job: Mapping[str, str], say: Say = lambda note: None) -> None:
        self.path, self.job, self.say = path, dict(job), say

    def load(self) -> Saved | None:
        """The state to go on from; None when there is none for exactly this job."""
        if not self.path.exists():
            return None
        try:
            with safe_open(str(self.path), framework="pt") as file:
                header = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
                changed = sorted(
                    k for k in self.job.keys() | header["job"] if self.job.get(k) != header["job"].get(k)
                )
                if changed:
                    self.say(f"the unfinished run was made with another {', '.join(changed)}; starting anew")
                    return None
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            if header.pop("checksum") != _checksum(header, tensors):
                raise ValueError("its checksum is wrong")
        except (SafetensorError, OSError, KeyError, ValueError, *_MISSHAPEN) as error:
            self.say(f"{self.path.name} cannot be used ({str(error).splitlines()[0]}); starting anew")
            return None
        return Saved(header["done"], tensors["latents"], _unpacked(header["scheduler"], tensors))

    def save(self, saved: Saved) -> bool:
        """Writes the state in place of the last one; False, and a line, when it cannot be written."""
        tensors = {"latents": saved.latents}
        header = {
            "job": self.job,
            "done": saved.done,
            "scheduler": _packed(saved.scheduler, tensors, "scheduler"),
        }
        header["checksum"] = _checksum(header, tensors)
        texts = {key: json.dumps(value) for key, value in header.items()}
        try:
            with placed(self.path) as part:
                save_file(tensors, str(part), metadata=texts)
        except (SafetensorError, OutputError) as error:
            self.say(f"{self.path.name} cannot be written ({error}); an interrupted run would start anew")
            return False
        return True


@contextmanager
def keep_states(file: ResumeFile | None, done: int) -> Iterator[Callable[[Saved], None]]:
    """Saves states after ``done`` steps, if there is a file for them; when the user interrupts, the
    interruption says how far it got and how to go on."""
    last = done

    def keep(state: Saved) -> None:
        nonlocal last
        if file and file.save(state):
            last = state.done

    try:
        yield keep
    except KeyboardInterrupt:
        if not (file and last):
            raise
        raise KeyboardInterrupt(f"stopped after step {last}; the same command goes on from there") from None


def _checksum(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Of everything in the file: a flipped bit must not become part of a video."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _packed(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    """``value`` for JSON; tensors move to ``tensors`` and leave their name behind."""
    if isinstance(value, dict):
        return {key: _packed(item, tensors, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_packed(item, tensors, f"{name}.{i}") for i, item in enumerate(value)]
    if isinstance(value, Tensor):
        tensors[name] = value.clone().contiguous()
        return {"tensor": name}
    return value


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"tensor"}:
            return tensors[value["tensor"]]
        return {key: _unpacked(item, tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpacked(item, tensors) for item in value]
    return value
