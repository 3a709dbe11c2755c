"""Bad input through the ComfyUI nodes, against the stand-in of the server that the tests use.

Called by ``python -m benchmarks.bad_input --nodes``. A node may raise an error of ours with a remedy, or
refuse in words before it runs; anything else that escapes is a fault.
"""

import contextlib
import importlib
import json
import random
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmarks.spoilt import SPOIL, odd_motion
from echomimic.errors import EchoMimicError

ODD: tuple[Any, ...] = (
    *(None, "", "x", "nan", "a\0b", "../x", "n" * 300, "a\nb", "\ud800", "/etc/passwd", ".", "auto"),
    *(-1, 0, 0.5, 10**30, 1e308, float("nan"), float("inf"), True, [], {}, [1], ["1", 0], object()),
)
"""Values that a widget may get from a prompt that somebody wrote, or from a link."""

KINDS = ("widget", "image", "audio", "driving", "pose", "model", "loader", "prompt", "workflow")
_NODES = ("EchoSampler", "EchoSampler", "EchoPreviewMotion")


class Door:
    """The nodes over the stand-in, with sound inputs."""

    def __init__(self, folder: Path, portrait: Path, speech: Path, motion: Path, film: Path) -> None:
        stand_in: Any = importlib.import_module("tests.comfy.conftest")
        self.server = stand_in.Server(folder / "comfyui")
        package = ModuleType("comfy_api")
        package.__path__ = []
        modules = stand_in.comfy(self.server) | {"folder_paths": stand_in.folder_paths(self.server.base)}
        sys.modules |= {**modules, "comfy_api": package, "comfy_api.latest": stand_in.comfy_api()}
        sys.modules["nodes"] = SimpleNamespace(NODE_CLASS_MAPPINGS={})  # type: ignore[assignment]
        self.nodes = importlib.import_module("echomimic.comfy.nodes")
        self.portrait, self.speech, self.motion, self.film = portrait, speech, motion, film
        self.inputs = self.server.base / "input"
        (self.inputs / "motion.npz").write_bytes(motion.read_bytes())
        self.model = self.nodes.EchoLoadModel.execute(version="Preview").args[0]

    def sound(self) -> dict[str, Any]:
        """Inputs of the sampler that work."""
        from echomimic.media.audio import Speech
        from echomimic.media.image import read_picture

        picture = torch.from_numpy(read_picture(self.portrait).astype(np.float32) / 255)[None]
        samples = torch.from_numpy(Speech.open(self.speech).read(0, 6400))
        audio = {"waveform": samples.expand(1, 2, -1).clone(), "sample_rate": 16000}
        small = {"length": 2, "width": 64, "height": 64}
        return {"image": picture, "audio": audio, "model": self.model, **small}


def case(number: int, door: Door) -> dict[str, Any]:
    """One bad call: what was done, and what is wrong with how it ended."""
    rng = random.Random(f"bad node {number}")
    kind = rng.choice(KINDS)
    told: dict[str, Any] = {"case": number, "arguments": [kind], "code": 0, "said": "", "wrong": []}
    before = {p.name for p in _files(door)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            told["arguments"].append(_shown(_MAKERS[kind](rng, door)))
    except EchoMimicError as error:
        told |= {"code": 2, "said": str(error)}
        told["arguments"].append(_shown(_LAST))
    except Exception as escaped:
        told |= {"code": "".join(traceback.format_exception_only(escaped)).strip(), "wrong": ["traceback"]}
        told["said"] = "".join(traceback.format_tb(escaped.__traceback__)[-3:])
        told["arguments"].append(_shown(_LAST))
    told["wrong"] += _judged(told, door, before)
    return told


_LAST: dict[str, Any] = {}


def _judged(told: dict[str, Any], door: Door, before: set[str]) -> Iterator[str]:
    from benchmarks.bad_input import REMEDY

    if told["code"] == 2:
        if "\n" in told["said"]:
            yield "not one line"
        if not REMEDY.search(told["said"]):
            yield "no remedy"
    left = [p for p in _files(door) if p.name not in before]
    if any(p.name.startswith(".") for p in left):
        yield "leftover"
    for path in left:
        with contextlib.suppress(OSError):
            path.unlink()


def _files(door: Door) -> list[Path]:
    return [p for p in door.server.base.rglob("*") if not p.is_dir()]


def _shown(value: Any) -> str:
    text = {k: v if not isinstance(v, torch.Tensor) else tuple(v.shape) for k, v in value.items()}
    return repr(text)[:300]


def _call(node: Any, given: dict[str, Any]) -> dict[str, Any]:
    """As a server calls: validated first, then executed; a refusal before ends as an error does."""
    _LAST.clear()
    _LAST.update(given)
    names = node.validate_inputs.__func__.__code__.co_varnames
    asked = {k: v for k, v in given.items() if k in names}
    refused = node.validate_inputs(**asked)
    with contextlib.suppress(EchoMimicError):  # the server logs what this raises, and runs the node
        node.fingerprint_inputs(**{k: v for k, v in given.items() if k not in ("image", "audio", "model")})
    node.execute(**given)
    return {"refused before": refused, **given}


def _widget(rng: random.Random, door: Door) -> dict[str, Any]:
    from echomimic.comfy.widgets import INPUTS

    name = rng.choice(_NODES)
    names = [n for n in INPUTS["Echo_Sampler"] if n not in ("image", "audio", "model", "driving")]
    picked = {
        rng.choice([*names, "foo", "video_images", "emb"]): rng.choice(ODD) for _ in range(rng.choice((1, 2)))
    }
    return _call(getattr(door.nodes, name), {**door.sound(), **picked})


def _image(rng: random.Random, door: Door) -> dict[str, Any]:
    whole: torch.Tensor = door.sound()["image"]
    made: list[Any] = [
        *(
            whole[0],
            whole[..., :1],
            whole[..., :2],
            whole[:0],
            whole[:, :0],
            whole[:, :, :3],
            whole[:, :3, :3],
        ),
        *(whole * float("nan"), whole * 1e30, whole - 5, whole.half(), whole.double(), whole.to(torch.int64)),
        *(whole.to(torch.bool), whole.movedim(-1, 1), torch.cat([whole] * 2), torch.zeros(1, 70, 70, 3)),
        *(torch.zeros(1, 1, 1, 3), torch.zeros(1, 5000, 2, 3), torch.cat([whole, whole[..., :1]], -1)),
        *ODD,
    ]
    return _call(getattr(door.nodes, rng.choice(_NODES)), {**door.sound(), "image": rng.choice(made)})


def _audio(rng: random.Random, door: Door) -> dict[str, Any]:
    good = door.sound()["audio"]
    wave: torch.Tensor = good["waveform"]
    waves: list[Any] = [
        *(wave[0], wave[:0], wave[..., :0], wave[:, :0], wave[..., :5], wave * float("nan"), wave * 1e30),
        *(wave * 0, wave.half(), wave.double(), (wave * 9999).to(torch.int16), wave.to(torch.bool)),
        *(
            wave.expand(1, 2, -1)[:, :1].expand(1, 64, -1),
            wave.clone().requires_grad_(),
            torch.complex(wave, wave),
        ),
        *ODD[:4],
    ]
    rates = (16000, 16000, 0, -1, 1, 10**9, float("nan"), float("inf"), "16000", "x", None, 44100.5, True)
    broken: list[Any] = [{"waveform": rng.choice(waves), "sample_rate": rng.choice(rates)}] * 6
    broken += [{"waveform": wave}, {"sample_rate": 16000}, *ODD]
    return _call(getattr(door.nodes, rng.choice(_NODES)), {**door.sound(), "audio": rng.choice(broken)})


def _driving(rng: random.Random, door: Door) -> dict[str, Any]:
    from echomimic.comfy.api import InputImpl, Types

    picture: torch.Tensor = door.sound()["image"]
    film = InputImpl.VideoFromFile(str(_spoilt(rng, door, door.film)))
    rates = (25, 0, -1, float("nan"), float("inf"), 1e9, None, "x")
    parts = Types.VideoComponents(
        images=picture.expand(3, -1, -1, -1), audio=None, frame_rate=rng.choice(rates)
    )
    broken: list[Any] = [
        film,
        film,
        film,
        InputImpl.VideoFromComponents(parts),
        picture,
        picture.expand(2, -1, -1, -1),
    ]
    broken += [
        picture[..., :1].expand(2, -1, -1, -1),
        torch.zeros(4, 64, 64, 3),
        picture[:, :1, :1].expand(3, -1, -1, -1),
    ]
    broken += [picture[:, :0].expand(3, -1, -1, -1), *ODD]
    return _call(getattr(door.nodes, rng.choice(_NODES)), {**door.sound(), "driving": rng.choice(broken)})


def _pose(rng: random.Random, door: Door) -> dict[str, Any]:
    path = door.inputs / "odd.npz"
    if rng.random() < 0.5:
        np.savez_compressed(path, **odd_motion(rng))  # type: ignore[arg-type]
    else:
        path = _spoilt(rng, door, door.motion)
    return _call(getattr(door.nodes, rng.choice(_NODES)), {**door.sound(), "pose_dir": path.name})


def _spoilt(rng: random.Random, door: Door, good: Path) -> Path:
    """A spoilt file under the server's input folder; never a name that the file system refuses."""
    kind = rng.choice([k for k in SPOIL if k not in ("device", "missing", "odd name", "long name", "folder")])
    for name in ("spoilt", "pipe", "loop"):
        (door.inputs / f"{name}{good.suffix}").unlink(missing_ok=True)
    return SPOIL[kind](door.inputs, rng, good)


def _model(rng: random.Random, door: Door) -> dict[str, Any]:
    return _call(getattr(door.nodes, rng.choice(_NODES)), {**door.sound(), "model": rng.choice(ODD)})


def _loader(rng: random.Random, door: Door) -> dict[str, Any]:
    names = ("version", "infer_mode", "dtype", "offload", "weights", "vae", "lowvram", "denoising")
    given = {"version": rng.choice(("Preview", "V1", "V2"))}
    return _call(door.nodes.EchoLoadModel, given | {rng.choice(names): rng.choice(ODD) for _ in range(2)})


def _prompt(rng: random.Random, door: Door) -> dict[str, Any]:
    """A prompt in which something is of the wrong kind, through the handler that every prompt passes."""
    from echomimic.comfy.hooks import on_prompt

    given = {"prompt": _disturbed(rng, _prompts())}
    _LAST.clear()
    _LAST.update(given)
    on_prompt(given)
    return given


def _workflow(rng: random.Random, door: Door) -> dict[str, Any]:
    """A saved workflow in which something is of the wrong kind."""
    from echomimic.comfy.hooks import site
    from echomimic.comfy.old_workflows import open_workflow

    given = {"workflow": _disturbed(rng, _workflows(rng))}
    _LAST.clear()
    _LAST.update(given)
    if isinstance(given["workflow"], dict):  # the route refuses all else
        json.dumps(open_workflow(given["workflow"], site()).workflow)
    return given


def _prompts() -> dict[str, Any]:
    loader = {"vae": "x", "denoising": True, "infer_mode": "audio_drived", "version": "V1", "lowvram": False}
    sampler = {"image": ["1", 0], "audio": ["2", 0], "pipe": ["3", 0], "seeds": 1, "cfg": 2.5, "fps": 24}
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "LoadAudio", "inputs": {"audio": "a.wav"}},
        "3": {"class_type": "Echo_LoadModel", "inputs": loader},
        "4": {
            "class_type": "Echo_Sampler",
            "inputs": {**sampler, "face_detector": ["3", 1], "emb": ["5", 0]},
        },
        "5": {"class_type": "Echo_Predata", "inputs": {"info": ["3", 1], "prompt": "x", "pose_dir": "none"}},
        "6": {"class_type": "Echo_VideoUpscale", "inputs": {"image": ["4", 0], "audio": ["4", 1]}},
        "7": {"class_type": "VHS_VideoCombine", "inputs": {"images": ["6", 0], "frame_rate": ["4", 2]}},
        "8": {"class_type": "Reroute", "inputs": {"": ["4", 0]}},
    }


def _workflows(rng: random.Random) -> dict[str, Any]:
    old: Any = importlib.import_module("tests.comfy.old")
    days = sorted(old.SAMPLERS)
    made = old.workflow(rng.choice(days), rng.choice([None, *sorted(old.LOADERS)]), rng.random() < 0.5)
    return dict(made)


def _disturbed(rng: random.Random, whole: Any) -> Any:
    """The same with one to three of its parts left out, doubled or of another kind."""
    whole = json.loads(json.dumps(whole))
    odd = [value for value in ODD if not isinstance(value, object) or type(value) is not object]
    for _ in range(rng.randrange(1, 4)):
        place, key = rng.choice(list(_places(whole)))
        change = rng.choice(("odd", "odd", "gone", "other"))
        if change == "gone" and isinstance(place, dict):
            place.pop(key, None)
        elif change == "gone":
            del place[key]
        elif change == "other":
            other, at = rng.choice(list(_places(whole)))
            place[key] = json.loads(json.dumps(other[at]))
        else:
            place[key] = rng.choice(odd)
        if not list(_places(whole)):
            break
    return whole


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


_MAKERS: dict[str, Any] = {
    "widget": _widget,
    "image": _image,
    "audio": _audio,
    "driving": _driving,
    "pose": _pose,
    "model": _model,
    "loader": _loader,
    "prompt": _prompt,
    "workflow": _workflow,
}
