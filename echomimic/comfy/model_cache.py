"""The model that Echo_LoadModel hands on: kept between prompts,
moved and evicted by the server's own management."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

import comfy.model_management as management

from echomimic import engine
from echomimic.comfy import folders
from echomimic.engine import Engine
from echomimic.progress import Report, silent
from echomimic.request import Device, Dtype, Offload, Settings
from echomimic.variants import variant


@dataclass(frozen=True)
class Recipe:
    """All that decides what is loaded; equal recipes share one engine."""

    settings: Settings
    files: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """The ECHOMIMIC_MODEL on the wire: settings every job of it starts from, and its engine.

    ``patcher`` is what the server moves between its memories; None for the preview and for offloading, where
    the engine places its parts itself.
    """

    settings: Settings
    engine: Engine
    patcher: Any = None

    def ready(self) -> None:
        """Has the server make room, and bring the networks where they run."""
        if self.patcher is not None:
            management.load_models_gpu([self.patcher])


def recipe(name: str, dtype: Dtype, offload: Offload, weights: str, vae: str) -> Recipe:
    """The recipe for the loader's widgets. Raises the package's errors."""
    row = variant(name)
    if row.engine == "preview":
        return Recipe(Settings(model=row.name))
    folder, chosen = folders.weights_folder(weights, row), folders.vae_file(vae)
    folders.check_installed(row, folder, chosen)
    dtype, device = _dtype(dtype), _device()
    settings = Settings(
        model=row.name,
        dtype=dtype,
        offload=offload,
        weights=folder,
        vae=chosen,
        device=device,
    )
    return Recipe(settings, (*folders.weights_stamp(weights, row), *folders.file_stamp(chosen)))


def _device() -> Device:
    """The server's device in the package's words."""
    kind = str(management.get_torch_device().type)
    return cast(Device, kind) if kind in get_args(Device) else "auto"


def _dtype(wanted: Dtype) -> Dtype:
    """``auto`` in the server's opinion."""
    if wanted != "auto":
        return wanted
    device = management.get_torch_device()
    if management.should_use_fp16(device):
        return "fp16"
    return "bf16" if management.should_use_bf16(device) else "fp32"


class Shelf:
    """Keeps the one model that was used last: the server may drop a node's output,
    loading it anew takes minutes."""

    def __init__(self) -> None:
        self._kept: tuple[Recipe, Model] | None = None

    def get(self, wanted: Recipe, report: Report = silent) -> Model:
        """The model of this recipe, loaded if it is not the one that lies here."""
        if self._kept is None or self._kept[0] != wanted:
            self._kept = None
            self._kept = wanted, _load(wanted.settings, report)
        return self._kept[1]

    def clear(self) -> None:
        """Lets go of it."""
        self._kept = None


SHELF = Shelf()


def _load(settings: Settings, report: Report) -> Model:
    if settings.variant.engine != "preview":
        management.free_memory(_bytes(settings), management.get_torch_device())
    made = engine.load(settings, report)
    networks = getattr(made, "networks", {})
    _interruptible(networks)
    return Model(settings, made, _patcher(networks) if networks and settings.offload == "none" else None)


def _interruptible(networks: Mapping[str, Any]) -> None:
    """Looks for an interruption before every block: one pass through a network can take a minute on a CPU."""

    def look(*_: Any) -> None:
        management.throw_exception_if_processing_interrupted()

    for network in networks.values():
        for block in network.modules():
            if any(True for _ in block.children()):
                block.register_forward_pre_hook(look)


def _bytes(settings: Settings) -> int:
    """A little more than what the files take, to make room before loading."""
    folder = settings.weights
    named = [folder / name for name in settings.variant.files.values()] if folder else []
    size = sum(path.stat().st_size for path in named if path.is_file())
    return int(size * (1.2 if settings.dtype in ("fp32", "tf32") else 0.7))


def _patcher(networks: Mapping[str, Any]) -> Any:
    """All networks as one model of the server's: each of them is needed for every window."""
    import torch
    from comfy.model_patcher import ModelPatcher

    together = torch.nn.ModuleDict(dict(networks))
    return ModelPatcher(together, management.get_torch_device(), management.unet_offload_device())
