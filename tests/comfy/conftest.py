"""A small stand-in for the server's modules, so that the nodes run without ComfyUI."""

import importlib
import os
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from tests.conftest import FakeEngine


class Interrupted(BaseException):
    """What the newer server raises into a node that the user stopped."""


@dataclass
class Server:
    """What the nodes did to the server, and what the test wants it to do."""

    base: Path
    bar: list[tuple[int, int, Any]] = field(default_factory=list)
    loaded: list[list[Any]] = field(default_factory=list)
    freed: list[int] = field(default_factory=list)
    interrupt_after: int | None = None
    checks: int = 0
    memory: float = 1e12

    def check(self) -> None:
        self.checks += 1
        if self.interrupt_after is not None and self.checks > self.interrupt_after:
            raise Interrupted


class Value:
    """An input, output or type of the V3 schema: remembers how it was made."""

    def __init__(self, kind: str, name: str | None = None, **options: Any) -> None:
        self.kind, self.id, self.options = kind, name, options


def io_type(kind: str) -> Any:
    return SimpleNamespace(
        io_type=kind,
        Input=lambda name, **options: Value(kind, name, **options),
        Output=lambda **options: Value(kind, **options),
    )


class Components(SimpleNamespace):
    """Frames, sound and rate of a video."""


class VideoFromComponents:
    def __init__(self, components: Components) -> None:
        self.components = components

    def get_components(self) -> Components:
        return self.components

    def save_to(self, path: Any, format: Any = "auto", codec: Any = "auto", metadata: Any = None) -> Any:
        return {"path": path, "format": format, "codec": codec, "metadata": metadata}


class VideoFromFile:
    def __init__(self, file: str) -> None:
        self.file = file

    def get_stream_source(self) -> str:
        return self.file


class NodeOutput:
    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args, self.ui = args, ui


class Shown:
    """What the page shows of a node."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (True,)}


class ComfyNode:
    """Base of V3 nodes."""


class ComfyExtension:
    """Base of V3 packs."""


def comfy_api() -> ModuleType:
    api = ModuleType("comfy_api.latest")
    kinds = {"Image": "IMAGE", "Audio": "AUDIO", "Video": "VIDEO", "Int": "INT", "Float": "FLOAT"}
    kinds |= {"Boolean": "BOOLEAN", "Combo": "COMBO", "String": "STRING", "MultiType": "MULTI"}
    api.io = SimpleNamespace(  # type: ignore[attr-defined]
        **{name: io_type(kind) for name, kind in kinds.items()},
        Custom=io_type,
        Schema=lambda **options: SimpleNamespace(**{"is_output_node": False, **options}),
        ComfyNode=ComfyNode,
        NodeOutput=NodeOutput,
        FolderType=SimpleNamespace(output="output"),
        Hidden=SimpleNamespace(prompt="prompt", extra_pnginfo="extra_pnginfo", unique_id="unique_id"),
    )
    api.ui = SimpleNamespace(PreviewVideo=Shown, SavedResult=lambda *a: a)  # type: ignore[attr-defined]
    api.ComfyExtension = ComfyExtension  # type: ignore[attr-defined]
    api.InputImpl = SimpleNamespace(VideoFromComponents=VideoFromComponents, VideoFromFile=VideoFromFile)  # type: ignore[attr-defined]
    api.Types = SimpleNamespace(VideoComponents=Components)  # type: ignore[attr-defined]
    return api


def folder_paths(base: Path) -> ModuleType:
    module = ModuleType("folder_paths")
    known = {"vae": [str(base / "models" / "vae")]}
    for name in ("input", "output", "temp", "models/vae"):
        (base / name).mkdir(parents=True, exist_ok=True)

    def add(name: str, path: str) -> None:
        known.setdefault(name, [])
        if path not in known[name]:
            known[name].append(path)

    def save_path(
        prefix: str, folder: str, width: int = 0, height: int = 0
    ) -> tuple[str, str, int, str, str]:
        sub, name = os.path.split(prefix)
        place = Path(folder, sub)
        place.mkdir(parents=True, exist_ok=True)
        return str(place), name, len(list(place.iterdir())) + 1, sub, prefix

    members = {
        "models_dir": str(base / "models"),
        "add_model_folder_path": add,
        "get_folder_paths": lambda name: list(known[name]),
        "get_filename_list": lambda name: sorted(p.name for f in known[name] for p in Path(f).iterdir()),
        "get_full_path": lambda name, file: next(
            (str(Path(f, file)) for f in known[name] if Path(f, file).exists()), None
        ),
        "get_save_image_path": save_path,
        **{f"get_{n}_directory": (lambda n=n: str(base / n)) for n in ("input", "output", "temp")},
    }
    for name, member in members.items():
        setattr(module, name, member)
    return module


def comfy(server: Server) -> dict[str, ModuleType]:
    names = ("comfy", "comfy.utils", "comfy.model_management", "comfy.model_patcher")
    modules = {name: ModuleType(name) for name in names}
    root, utils, management, patcher = modules.values()
    root.__path__ = []

    class ProgressBar:
        def __init__(self, total: int) -> None:
            self.total = total

        def update_absolute(self, value: int, total: int, preview: Any = None) -> None:
            server.bar.append((value, total, preview))

    class ModelPatcher:
        def __init__(self, model: Any, load_device: Any, offload_device: Any) -> None:
            self.model, self.load_device, self.offload_device = model, load_device, offload_device

    utils.ProgressBar = ProgressBar  # type: ignore[attr-defined]
    patcher.ModelPatcher = ModelPatcher  # type: ignore[attr-defined]
    for name, member in {
        "throw_exception_if_processing_interrupted": server.check,
        "get_torch_device": lambda: torch.device("cpu"),
        "unet_offload_device": lambda: torch.device("cpu"),
        "should_use_fp16": lambda device: False,
        "should_use_bf16": lambda device: False,
        "load_models_gpu": lambda models, **_: server.loaded.append(models),
        "get_free_memory": lambda device: server.memory,
        "free_memory": lambda size, device: server.freed.append(size),
    }.items():
        setattr(management, name, member)
    for name in names[1:]:
        setattr(root, name.rpartition(".")[2], modules[name])
    return modules


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server's modules for one test; the nodes are imported anew for it."""
    server = Server(tmp_path / "comfyui")
    package = ModuleType("comfy_api")
    package.__path__ = []
    modules = {**comfy(server), "folder_paths": folder_paths(server.base)}
    for name, module in {**modules, "comfy_api": package, "comfy_api.latest": comfy_api()}.items():
        monkeypatch.setitem(sys.modules, name, module)
    _forget()
    yield server
    _forget()


def _forget() -> None:
    for name in [n for n in sys.modules if n.startswith("echomimic.comfy")]:
        del sys.modules[name]
    package = sys.modules.get("echomimic")
    if isinstance(package, types.ModuleType) and hasattr(package, "comfy"):
        del package.comfy


@pytest.fixture
def nodes(server: Server) -> ModuleType:
    return importlib.import_module("echomimic.comfy.nodes")


@pytest.fixture
def image(portrait: Path) -> torch.Tensor:
    """The example portrait as LoadImage gives it."""
    import numpy as np

    from echomimic.media.image import read_picture

    return torch.from_numpy(read_picture(portrait).astype(np.float32) / 255.0)[None]


@pytest.fixture
def audio(speech: Path) -> dict[str, Any]:
    """0.6 s of the example's speech in stereo at 24 kHz, as LoadAudio gives it."""
    from echomimic.media.audio import Speech

    samples = torch.from_numpy(Speech.open(speech).read(0, 14400))
    return {"waveform": samples.expand(1, 2, -1).clone(), "sample_rate": 24000}


@pytest.fixture
def face(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture holds one face, found without looking."""
    import numpy as np

    from echomimic.faces.detect import Face

    points = np.zeros((478, 3), np.float32)
    points[:, :2] = np.random.default_rng(0).uniform(200, 360, (478, 2))
    monkeypatch.setattr(
        "echomimic.conditions.find_faces", lambda *_, **__: [Face(points, 1.0, (200, 200, 360, 360))]
    )


@pytest.fixture
def model(nodes: ModuleType, fake_engine: FakeEngine, face: None) -> Any:
    """The preview as Echo_LoadModel gives it, over the fake engine."""
    return nodes.EchoLoadModel.execute(version="Preview").args[0]
