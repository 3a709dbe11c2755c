"""How many kernels a window launches on a GPU, and how many bytes they move: counted by shapes, without one.

    python benchmarks/kernel_count.py                 # the forms of this checkout, full size, half precision
    python benchmarks/kernel_count.py --forms plain   # where Triton is not installed

The nets run on PyTorch's meta device, which has shapes and no numbers. What is counted of an operation: its
kernels on CUDA (a convolution's bias is one of its own, group norm has three and a copy to the plain layout
before them), and the bytes of what it reads and writes, each tensor once. Not counted: what cuDNN turns
inside a convolution, what a cache saves. The peak is that of all tensors alive at one time, without
workspaces.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.gpu import window  # noqa: E402
from echomimic.models import kernels, vae  # noqa: E402
from echomimic.models.unet import UNet  # noqa: E402

PRODUCTS = {"convolution", "mm", "addmm", "bmm", "baddbmm"}
FREE = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "detach", "alias"}
COPIED = 4.2e12
"""Bytes an H200 reads and writes per second in a copy (measured)."""


@dataclass
class Tally:
    """Kernels and bytes by what they are for; the most bytes alive at one time."""

    kernels: dict[str, int] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)
    alive: dict[int, tuple[StorageWeakRef, int]] = field(default_factory=dict)
    peak: int = 0

    def add(self, kind: str, tensors: list[Tensor], kernels: int = 1, further: int = 0) -> None:
        """``kernels`` that read or write ``tensors`` once, and ``further`` bytes."""
        self.kernels[kind] = self.kernels.get(kind, 0) + kernels
        self.moved[kind] = self.moved.get(kind, 0) + sum(size(t) for t in tensors) + further

    def watch(self, made: list[Tensor]) -> None:
        """Counts the memory of new tensors until nobody holds it."""
        for tensor in made:
            storage = tensor.untyped_storage()
            kept = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
            self.alive[storage._cdata] = kept, storage.nbytes()
        expired = {key for key, (kept, _) in self.alive.items() if kept.expired()}  # type: ignore[no-untyped-call]
        self.alive = {key: kept for key, kept in self.alive.items() if key not in expired}
        self.peak = max(self.peak, sum(count for _, count in self.alive.values()))


def size(tensor: Tensor) -> int:
    """Bytes of what is there: an expanded tensor is read once."""
    return min(tensor.numel() * tensor.itemsize, tensor.untyped_storage().nbytes())


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts PyTorch's operations as CUDA runs them."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tally = tally

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs it on the shapes."""
        out, name = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        if name == "native_group_norm":
            out = (out[0].contiguous(), *out[1:])  # on CUDA its result is in the plain layout
        given, made = ([t for t in tree_leaves(x) if isinstance(t, Tensor)] for x in ((args, kwargs), out))
        there = {t.untyped_storage()._cdata for t in given}
        self.tally.watch([t for t in made if t.untyped_storage()._cdata not in there])
        if name in FREE or func.is_view or _alias(given, made, func):
            return out
        self._count(name, given, made)
        return out

    def _count(self, name: str, given: list[Tensor], made: list[Tensor]) -> None:
        if name == "convolution":
            self.tally.add("products", [*given[:2], *made])
            if len(given) > 2:
                self.tally.add("rest", made * 2)
        elif name == "native_group_norm":
            turned = not given[0].is_contiguous()
            self.tally.add("rest", [given[0], *given, made[0]] + [given[0]] * 2 * turned, 3 + turned)
        else:
            self.tally.add("products" if name in PRODUCTS else "rest", given + made)


def _alias(given: list[Tensor], made: list[Tensor], func: Any) -> bool:
    """Whether nothing was computed: a view, by whatever name."""
    places = {t.untyped_storage()._cdata for t in given}
    written = any(a.alias_info and a.alias_info.is_write for a in func._schema.arguments)
    return not written and bool(made) and all(t.untyped_storage()._cdata in places for t in made)


def attention(tally: Tally) -> Callable[..., Tensor]:
    """PyTorch's fused attention: one kernel, its result laid out as its queries are."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = q.new_empty(q.shape[0], q.shape[2], q.shape[1], v.shape[3]).transpose(1, 2)
        tally.add("attention", [q, k, v, out])
        return out

    return attend


def fused_forms(tally: Tally) -> type:
    """The operations that Triton fuses, each with its kernels and what they read and write."""

    class Counted:
        @staticmethod
        def group_norm(x: Tensor, add: Any, offset: Any, skip: Any, *_: Any) -> tuple[Tensor, Tensor]:
            channels = x.shape[1] + (0 if skip is None else skip.shape[1])
            read = [t for t in (x, add, skip) if t is not None]
            total = _image(x, channels) if len(read) > 1 else x
            normed = _image(x, channels)
            statistics = 2 * 8 * channels * len(x) * -(-x.shape[2] * x.shape[3] // 128)
            kept = [total] * (len(read) > 1)
            tally.add("rest", [*read, *kept, total, normed], 3, statistics)
            return total, normed

        @staticmethod
        def add_layer_norm(x: Tensor, add: Any, constant: Any, *rest: Any) -> tuple[Tensor, Tensor]:
            total = x if add is None and constant is None else torch.empty_like(x)
            normed = x.new_empty(len(x) - rest[-1], *x.shape[1:])
            tally.add(
                "rest", [t for t in (x, add, normed, total if total is not x else None) if t is not None]
            )
            return total, normed

        @staticmethod
        def geglu(x: Tensor) -> Tensor:
            out = x.new_empty(*x.shape[:-1], x.shape[-1] // 2)
            tally.add("rest", [x, out])
            return out

        @staticmethod
        def merge_attentions(own: Tensor, weight: Tensor, far: Tensor, *_: Any) -> Tensor:
            tally.add("attention", [far] * 3, 1, 2 * 4 * far.shape[0] * weight.shape[1] * weight.shape[2])
            return own

        @staticmethod
        def attend_frames(q: Tensor, k: Tensor, v: Tensor, *_: Any) -> Tensor:
            out = q.new_empty(q.shape)
            tally.add("attention", [q, k, v, out])
            return out

    return Counted


def _image(like: Tensor, channels: int) -> Tensor:
    n, _, height, width = like.shape
    return torch.empty(
        n, channels, height, width, dtype=like.dtype, device="meta", memory_format=torch.channels_last
    )


def _fused(_: Tensor) -> str:
    return "fused"


@contextlib.contextmanager
def counted(chosen: str) -> Iterator[Tally]:
    """Inside, what runs on the meta device is counted as if it ran on CUDA in the ``chosen`` forms."""
    tally = Tally()
    attend, operations = attention(tally), fused_forms(tally)
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(F, "scaled_dot_product_attention", attend))
        if chosen == "fused":

            def chosen_operations() -> type:
                return operations

            def weighed(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
                return attend(q, k, v), q.new_empty(q.shape[:3], dtype=torch.float32)

            stack.enter_context(mock.patch.object(kernels.softmax, "_with_weight", weighed))
            stack.enter_context(mock.patch.object(kernels.forms, "form_for", _fused))
            stack.enter_context(mock.patch.object(kernels.forms, "_triton", chosen_operations))
        else:
            stack.enter_context(mock.patch.object(vae, "channels_last", Tensor.contiguous))
        stack.enter_context(Counting(tally))
        yield tally


def rows(forms: str) -> Iterator[dict[str, Any]]:
    """Windows at 512 and 768 pixels, with guidance or without, then one decoded frame and eight."""
    with torch.device("meta"):
        net, decoder = UNet().half().requires_grad_(False), vae.build_vae().half()
    for side in (512, 768):
        for guidance in (True, False):
            with counted(forms) as tally:
                if forms == "fused":
                    net.arrange()
                run = window(net, side, 12, guidance, 1)
            with counted(forms) as tally:
                run()
            yield row(f"window of 12, {side}²" + ", guidance" * guidance, tally)
    for side, frames in ((512, 1), (512, 8), (768, 8)):
        latents = torch.empty(frames, 4, side // 8, side // 8, dtype=torch.half, device="meta")
        with counted(forms) as tally:
            vae.decode(decoder, latents, frames)
        yield row(f"decoding {frames}, {side}²", tally)


def row(what: str, tally: Tally) -> dict[str, Any]:
    """One line: kernels, gigabytes by kind, how long the rest takes at a copy's rate, peak of activations."""
    moved = {kind: tally.moved.get(kind, 0) / 1e9 for kind in ("products", "attention", "rest")}
    return {
        "what": what,
        "kernels": sum(tally.kernels.values()),
        "products GB": moved["products"],
        "attention GB": moved["attention"],
        "the rest GB": moved["rest"],
        "the rest at 4.2 TB/s, ms": 1e12 * moved["rest"] / COPIED,
        "activations GiB": tally.peak / 2**30,
    }


def main() -> None:
    """Count, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--forms", default="fused", choices=["fused", "plain"])
    for number, line in enumerate(rows(parser.parse_args().forms)):
        if not number:
            print("| " + " | ".join(line) + " |\n|" + " --- |" * len(line))
        print("| " + " | ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in line.values()) + " |")


if __name__ == "__main__":
    main()
