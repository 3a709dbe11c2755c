"""How long the full-size nets take: one window through the denoiser, one frame through the VAE.

    python benchmarks/denoise.py                      # both precisions, with and without guidance, VAE
    python benchmarks/denoise.py --size 256 --frames 4        # quick
    python benchmarks/denoise.py --against path/sketch_unet.py

Weights are random: speed does not depend on them. Every row runs in its own process, so peak memory (RSS) is
its own. CPU seconds are over all threads; on a busy machine they say more than the clock.
"""

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echomimic.models import vae
from echomimic.models.unet import UNet


def fill(net: nn.Module, dtype: torch.dtype, device: torch.device | str = "cpu") -> nn.Module:
    """Real memory and harmless weights for a net built on the meta device."""
    net = net.to(dtype).to_empty(device=device).eval().requires_grad_(False)
    for name, tensor in net.state_dict().items():
        tensor.fill_(1.0) if tensor.ndim == 1 and name.endswith("weight") else tensor.uniform_(-0.02, 0.02)
    return net


def inputs(size: int, frames: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Latents, audio and guide of one window."""
    side = size // 8
    shapes = {"x": (frames, 4, side, side), "audio": (frames, 50, 384), "guide": (1, 320, side, side)}
    return {name: torch.randn(shape).to(dtype) for name, shape in shapes.items()}


def ours(row: dict[str, Any], dtype: torch.dtype) -> Callable[[], Tensor]:
    """One forward of the package's denoiser."""
    with torch.device("meta"):
        net = UNet()
    fill(net, dtype)
    if row["layout"] == "channels-last":
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub leaves it out
    given, side = inputs(row["size"], row["frames"], dtype), row["size"] // 8
    hidden_states = {}
    for name, block in net.spatial_transformers():
        level = {320: 1, 640: 2, 1280: 8 if name.startswith("mid") else 4}[block.proj_in.in_channels]
        hidden_states[name] = torch.randn(1, (side // level) ** 2, block.proj_in.in_channels).to(dtype)
    kv = net.project_reference(hidden_states)
    plain = int(row["guidance"])
    x, t = torch.cat([given["x"]] * (1 + plain)), torch.tensor(499)
    return lambda: net(
        x,
        t,
        frames=row["frames"],
        audio=given["audio"],
        guide=given["guide"],
        reference=kv,
        unconditional=plain,
    )


def other(row: dict[str, Any], dtype: torch.dtype) -> Callable[[], Tensor]:
    """One forward of the denoiser in the file to compare with."""
    spec = importlib.util.spec_from_file_location("other_unet", row["against"])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["other_unet"] = module
    spec.loader.exec_module(module)
    with torch.device("meta"):
        net = module.UNet()
    fill(net, dtype)
    given, side, clips = inputs(row["size"], row["frames"], dtype), row["size"] // 8, 1 + int(row["guidance"])
    hidden_states = []
    for block in net.blocks():
        dim = block.norm1.normalized_shape[0]
        hidden_states.append(torch.randn(1, (side // {320: 1, 640: 2, 1280: 4}[dim]) ** 2, dim).to(dtype))
    context = {
        "audio": torch.cat([given["audio"]] * clips),
        "pose": torch.cat([given["guide"]] * row["frames"] * clips),
        "reference": net.reference_kv(hidden_states),
    }
    x, t = torch.cat([given["x"]] * clips), torch.tensor([499])
    return lambda: net(x, t, module.Conditions(frames=row["frames"], **context))


def decoder(row: dict[str, Any], dtype: torch.dtype) -> Callable[[], Tensor]:
    """One frame through the VAE's decoder."""
    with torch.device("meta"):
        net = vae.build_vae()
    fill(net, dtype)
    latent = torch.randn(1, 4, row["size"] // 8, row["size"] // 8).to(dtype)
    return lambda: vae.decode(net, latent)


def measure(row: dict[str, Any]) -> dict[str, Any]:
    """Run one row: the best of its repeats."""
    build = {"denoiser": ours, "other": other, "VAE decode": decoder}[row["what"]]
    with torch.no_grad():
        run = build(row, getattr(torch, row["dtype"]))
        times = [timed(run) for _ in range(row["repeats"])]
    wall, cpu = min(times)
    return row | {
        "seconds": wall,
        "cpu": cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def timed(run: Callable[[], Tensor]) -> tuple[float, float]:
    """Clock and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def machine(dtype: torch.dtype) -> str:
    """What this machine gives now, in TFLOP/s: the yardstick for the table below."""
    x = torch.randn(2, 640, 32, 32).to(dtype).contiguous(memory_format=torch.channels_last)
    kernel, rows, wide = (
        torch.randn(shape).to(dtype) for shape in ((640, 640, 3, 3), (2048, 640), (5120, 640))
    )
    heads = torch.randn(1, 8, 2048, 40).to(dtype)
    rates: dict[str, tuple[Callable[[], Tensor], int]] = {
        "convolution": (lambda: F.conv2d(x, kernel, padding=1), 2 * 2048 * 640 * 640 * 9),
        "linear": (lambda: F.linear(rows, wide), 2 * 2048 * 640 * 5120),
        "attention": (lambda: F.scaled_dot_product_attention(heads, heads, heads), 4 * 8 * 2048 * 2048 * 40),
    }
    found = []
    for name, (run, work) in rates.items():
        run()
        found.append(f"{name} {work / min(timed(run)[0] for _ in range(5)) / 1e12:.2f}")
    return f"{str(dtype).removeprefix('torch.')}: {', '.join(found)} TFLOP/s"


def rows(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What to measure, in the order of the table."""
    common = {
        "size": options.size,
        "frames": options.frames,
        "repeats": options.repeats,
        "against": options.against,
    }
    found = []
    for dtype in options.dtypes:
        base = common | {"dtype": dtype, "layout": "as loaded", "guidance": True}
        for what in options.what:
            if what == "vae":
                found.append(base | {"what": "VAE decode", "guidance": False})
                continue
            variants = [base] + [base | {"layout": "channels-last"}] * options.channels_last
            found += [v | {"what": "denoiser", "guidance": g} for v in variants for g in options.guidance]
            if options.against:
                found += [base | {"what": "other", "guidance": g} for g in options.guidance]
    return found


def show(row: dict[str, Any]) -> str:
    """One line of the table."""
    guided = "-" if row["what"] == "VAE decode" else "yes" if row["guidance"] else "no"
    return (
        f"| {row['what']:10} | {row['dtype']:8} | {guided:8} | {row['layout']:13} "
        f"| {row['seconds']:8.1f} | {row['cpu']:8.1f} | {row['peak']:8.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels")
    parser.add_argument("--frames", type=int, default=12, help="frames of the window")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--what", nargs="+", default=["unet", "vae"], choices=["unet", "vae"])
    parser.add_argument(
        "--guidance", nargs="+", type=lambda text: text == "yes", default=[True, False], metavar="yes|no"
    )
    parser.add_argument("--channels-last", action="store_true", help="also with channels-last weights")
    parser.add_argument("--against", help="a sketch_unet.py to measure beside ours")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(json.loads(options.row))))
        return
    print(f"{options.size} × {options.size}, {options.frames} frames, {torch.get_num_threads()} threads")
    for dtype in options.dtypes:
        print(machine(getattr(torch, dtype)))
    print("| what       | dtype    | guidance | weights       |  seconds | CPU sec. | peak GiB |")
    print("| ---------- | -------- | -------- | ------------- | -------: | -------: | -------: |")
    for row in rows(options):
        command = [sys.executable, __file__, "--row", json.dumps(row)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        print(show(json.loads(done.stdout)), flush=True)


if __name__ == "__main__":
    main()
