"""Where the networks run, in which number format, and what waits in main memory meanwhile."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from echomimic.errors import ResourceError, SettingsError
from echomimic.models.attention import SpatialTransformer
from echomimic.models.temporal import MotionModule
from echomimic.models.unet import ResBlock
from echomimic.models.vae import PixelAttention, Residual
from echomimic.request import Settings

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32, "tf32": torch.float32}
# Blocks that reach into their layers' parameters.
_WHOLE = (ResBlock, SpatialTransformer, MotionModule, Residual, PixelAttention)

_CPU_FLAGS = Path("/proc/cpuinfo")
_FAST_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}


def pick_device(name: str) -> torch.device:
    """``auto`` is cuda, else mps, else cpu.
    Raises :class:`SettingsError` when a named device is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, found in there.items() if found))
    if not there[name]:
        have = ", ".join(device for device, found in there.items() if found)
        raise SettingsError(f"device {name} was not found on this machine; choose auto or one of {have}")
    return torch.device(name)


def pick_devices(settings: Settings) -> list[torch.device]:
    """The devices that share a video, the first of which keeps it; just ``device`` when ``devices`` names
    none.

    Raises :class:`SettingsError` for one that is not there, or when the networks cannot stay on them.
    """
    names = [name.strip() for name in settings.devices.split(",") if name.strip()]
    if not names:
        return [pick_device(settings.device)]
    if names == ["all"]:
        names = [f"cuda:{i}" for i in range(torch.cuda.device_count())] or ["auto"]
    if len(names) > 1 and settings.offload != "none":
        raise SettingsError(
            f"several devices keep the networks, offload {settings.offload} does not; set offload none"
        )
    return [_numbered(name) for name in names]


def _numbered(name: str) -> torch.device:
    """``cuda:1`` and the like, if it is there."""
    kind, _, number = name.partition(":")
    if number == "" or kind not in ("cuda", "cpu") or not number.isdecimal():
        return pick_device(name) if name in ("auto", "cuda", "mps", "cpu") else _absent(name)
    count = torch.cuda.device_count() if kind == "cuda" else 1
    return torch.device(name) if int(number) < count else _absent(name)


def _absent(name: str) -> torch.device:
    have = [*(f"cuda:{i}" for i in range(torch.cuda.device_count())), "cpu"]
    raise SettingsError(
        f"devices names {name}, which was not found here; choose all or some of {', '.join(have)}"
    )


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is fp16 on cuda, bf16 on CPUs that compute in it, fp32 elsewhere."""
    if name == "auto":
        name = {"cuda": "fp16", "cpu": "bf16" if cpu_has_bf16() else "fp32"}.get(device.type, "fp32")
    return DTYPES[name]


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 natively (AVX-512 BF16, AMX, Arm BF16)."""
    try:
        lines = _CPU_FLAGS.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return bool(_FAST_BF16 & set(flags.split()))


@contextmanager
def float32_products(dtype: str) -> Iterator[None]:
    """Inside, float32 products on a GPU are float32; only dtype ``tf32`` rounds their factors to 10 bits
    (TF32).

    PyTorch's default rounds those of convolutions, which put float32 7e-4 away from the official numbers on
    an H200.
    """
    linear, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    with _rounding(linear, dtype == "tf32"), _rounding(convolution, dtype == "tf32"):
        yield


@contextmanager
def _rounding(backend: Any, wanted: bool) -> Iterator[None]:
    """Inside, whether TF32 is allowed; by PyTorch's newer flag where the host has set that, because then it
    refuses to tell the older one."""
    of, name, value = backend, "allow_tf32", cast(bool | str, wanted)
    try:
        before = getattr(of, name)
    except RuntimeError:
        of, name, value = getattr(backend, "conv", backend), "fp32_precision", "tf32" if wanted else "ieee"
        before = getattr(of, name)
    setattr(of, name, value)
    try:
        yield
    finally:
        setattr(of, name, before)


def upload(values: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """``values`` on ``device`` in ``dtype``;
    what goes from main memory to a GPU goes without waiting for it."""
    if device.type != "cuda":
        return values.to(device, dtype)
    return (values.pin_memory() if values.device.type == "cpu" else values).to(
        device, dtype, non_blocking=True
    )


def waiting_device(offload: str, device: torch.device) -> torch.device:
    """Where the networks are kept while they do not work."""
    return device if offload == "none" else torch.device("cpu")


class Placement:
    """Brings networks to the device while they work.

    ``none`` leaves them where they are; ``model`` moves one network at a time there and back; ``sequential``
    moves every part only while it computes: least memory on the device, slowest.
    """

    def __init__(self, offload: str, device: torch.device) -> None:
        self.offload, self.device = offload, device
        self._hooked: set[int] = set()

    @contextmanager
    def working(self, *networks: nn.Module) -> Iterator[None]:
        """Inside, ``networks`` compute on the device."""
        if self.offload == "sequential":
            for network in networks:
                self._hook(network)
        elif self.offload == "model":
            for network in networks:
                network.to(self.device)
        try:
            yield
        finally:
            if self.offload == "model":
                for network in networks:
                    network.to("cpu")
                self._free()

    @contextmanager
    def visiting(self, network: nn.Module) -> Iterator[None]:
        """As :meth:`working`, for a network that is needed once: afterwards it waits in main memory.

        Of the reference net that is 1.5 GiB in half precision that a GPU has for more windows.
        """
        away = self.offload == "none" and self.device.type != "cpu"
        if away:
            network.to(self.device)
        try:
            with self.working(network):
                yield
        finally:
            if away:
                network.to("cpu")
                self._free()

    def _hook(self, network: nn.Module) -> None:
        """Once per network: its parts then come and go by themselves, by torch's own hooks."""
        if id(network) in self._hooked:
            return
        self._hooked.add(id(network))
        for part in parts_of(network):
            part.register_forward_pre_hook(lambda module, _: _moved(module, self.device))
            part.register_forward_hook(lambda module, _, __: _moved(module, torch.device("cpu")))

    def _free(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def parts_of(network: nn.Module) -> Iterator[nn.Module]:
    """The parts that are moved one by one: layers, and blocks that reach into their layers' parameters."""
    for child in network.children():
        whole = isinstance(child, _WHOLE) or not any(True for _ in child.children())
        if whole:
            yield child
        else:
            yield from parts_of(child)


def _moved(module: nn.Module, device: torch.device) -> None:
    module.to(device)


@contextmanager
def enough_memory(settings: Settings, doing: str) -> Iterator[None]:
    """Turns running out of memory into a :class:`ResourceError` that says which setting to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise ResourceError(f"memory ran out while {doing}; {_advice(settings)}") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch means that memory ran out, on any device."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _advice(settings: Settings) -> str:
    """What to change, most helpful first."""
    steps = []
    if settings.context_frames > 8:
        steps.append(f"context_frames (now {settings.context_frames})")
    steps.append("width and height")
    ways = {"none": "offload model", "model": "offload sequential"}
    further = f", or set {ways[settings.offload]}" if settings.offload in ways else ""
    return f"lower {' or '.join(steps)}{further}"
