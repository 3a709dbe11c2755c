"""What a GPU gives and what the package makes of it: one command, tables and one JSON file, under six
minutes.

    python benchmarks/gpu.py                       # full-size nets with random weights: nothing to download
    python benchmarks/gpu.py --only windows decode # some parts
    python benchmarks/gpu.py --rehearse            # all of it with tiny nets on the CPU, under a minute

Speed does not depend on the weights. Times are medians; on a GPU they are taken by events. A part that fails
says so in its table, the next one goes on, and the exit status is 1.
"""

import argparse
import copy
import functools
import importlib.metadata
import importlib.util
import itertools
import json
import logging
import math
import platform
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.denoise import fill  # noqa: E402
from benchmarks.gpu_kernels import compared  # noqa: E402
from echomimic.diffusion.captured import CapturedForward, Record, cuda_graph  # noqa: E402
from echomimic.diffusion.engine import DiffusionEngine  # noqa: E402
from echomimic.diffusion.placement import DTYPES, float32_products  # noqa: E402
from echomimic.flow import animate  # noqa: E402
from echomimic.models import networks, vae  # noqa: E402
from echomimic.models.unet import UNet, UNetConfig  # noqa: E402
from echomimic.models.weights import Networks  # noqa: E402
from echomimic.progress import Progress  # noqa: E402
from echomimic.request import Settings, SpeedName  # noqa: E402
from echomimic.variants import VARIANTS  # noqa: E402

Row = dict[str, Any]
SMALL = UNetConfig(channels=(32, 64, 128, 128))
"""The nets of the recorded small loops: enough layers to show what a number format costs."""


@dataclass(frozen=True)
class Scale:
    """How large everything is: the full run, or its rehearsal."""

    device: torch.device
    dtype: str
    sizes: networks.Sizes
    pictures: tuple[int, ...]
    frames: int
    job_frames: int
    jobs: tuple[tuple[Literal["v1", "v1-acc", "v2-acc"], int, int], ...]
    square: int
    repeats: int

    @property
    def format(self) -> torch.dtype:
        """Number format of the nets."""
        return DTYPES[self.dtype]


def full(dtype: str) -> Scale:
    """What is measured on a card: 512 and 768 pixels, windows of 12 frames, videos of 48."""
    jobs: Any = (("v1-acc", 512, 6), ("v1", 512, 10), ("v2-acc", 768, 6))
    return Scale(torch.device("cuda"), dtype, networks.Sizes(), (512, 768), 12, 48, jobs, 8192, 5)


def rehearsal() -> Scale:
    """The same on a CPU with the nets the tests use."""
    from tests import tiny

    jobs: Any = (("v1-acc", 128, 1), ("v2-acc", 128, 1))
    return Scale(torch.device("cpu"), "fp32", tiny.sizes(), (64,), 2, 3, jobs, 128, 1)


def synchronize(device: torch.device) -> None:
    """Waits for a GPU; a CPU is never behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def milliseconds(run: Callable[[], object], scale: Scale) -> float:
    """Median of a few calls after one to warm up."""
    run()
    return statistics.median(_timed(run, scale.device) for _ in range(scale.repeats))


def _timed(run: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        run()
        return 1000 * (time.perf_counter() - began)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize(device)
    return float(begin.elapsed_time(end))


def forget_peak(device: torch.device) -> None:
    """Peaks are counted from here."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak(device: torch.device) -> float | None:
    """GiB that torch held at most since; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None


def card(scale: Scale) -> Iterator[Row]:
    """What is measured, on what."""
    on_gpu = scale.device.type == "cuda"
    found = torch.cuda.get_device_properties(scale.device) if on_gpu else None
    yield {
        "device": found.name if found else platform.processor() or platform.machine(),
        "memory GiB": found.total_memory / 2**30 if found else None,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,  # type: ignore[no-untyped-call]
        "triton": importlib.metadata.version("triton") if importlib.util.find_spec("triton") else None,
        "nets": scale.dtype,
    }


def peaks(scale: Scale) -> Iterator[Row]:
    """The most the device gives, TFLOP/s by number format, and what it copies."""
    n, device = scale.square, scale.device
    for name, dtype in DTYPES.items():
        with float32_products(name):
            a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
            rates = {"matrix product": 2 * n**3 / milliseconds(functools.partial(torch.matmul, a, b), scale)}
            del a, b
            rates["3×3 convolution"] = _convolution(scale, dtype)
            rates["attention"] = _attention(scale, dtype)
        yield {"format": name} | {f"{what}, TFLOP/s": rate / 1e9 for what, rate in rates.items()}
    much = torch.empty(n * n * 4, dtype=torch.uint8, device=device)
    into = torch.empty_like(much)
    yield {
        "format": "copy, TB/s (read + written)",
        "rate": 2 * len(much) / milliseconds(lambda: into.copy_(much), scale) / 1e9,
    }


def _convolution(scale: Scale, dtype: torch.dtype) -> float:
    """Operations per millisecond, channels-last, of the size the U-Net has in its second stage."""
    n, c, side = (24, 640, 32) if scale.square > 1024 else (2, 64, 16)
    x, w = torch.randn(n, c, side, side, device=scale.device), torch.randn(c, c, 3, 3, device=scale.device)
    x, w = (t.to(dtype).contiguous(memory_format=torch.channels_last) for t in (x, w))
    return 2 * n * side**2 * c * c * 9 / milliseconds(lambda: F.conv2d(x, w, padding=1), scale)


def _attention(scale: Scale, dtype: torch.dtype) -> float:
    """Operations per millisecond at head width 40, keys twice the queries: own and reference tokens."""
    n, tokens = (12, 4096) if scale.square > 1024 else (1, 256)
    q, k = (torch.randn(n, 8, length, 40, device=scale.device).to(dtype) for length in (tokens, 2 * tokens))
    spent = milliseconds(lambda: F.scaled_dot_product_attention(q, k, k), scale)
    return 4 * n * 8 * tokens * 2 * tokens * 40 / spent


def built(network: networks.Network, model: str, scale: Scale) -> Any:
    """One net of ``model``, seeded random weights."""
    torch.manual_seed(0)
    net = networks.build(network, VARIANTS[model], scale.sizes)
    dtype = torch.float32 if network == "whisper" else scale.format
    filled = fill(net, dtype, scale.device)
    if isinstance(filled, UNet | vae.Autoencoder):
        filled.arrange()
    return filled


def window(
    net: UNet,
    size: int,
    frames: int,
    guidance: bool,
    guides: int,
    clips: int = 1,
    forward: Callable[..., Tensor] | None = None,
) -> Callable[[], Tensor]:
    """One forward of ``clips`` windows of ``frames``; ``guides``: 1 for V1's still mask, ``frames`` for V2.

    ``forward`` stands for the net, where it is given.
    """
    weight = net.conv_in.weight
    side, (device, dtype) = size // 8, (weight.device, weight.dtype)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    generator, hidden_states = torch.Generator().manual_seed(0), {}
    for name, block in net.spatial_transformers():
        level = 8 if name.startswith("mid") else {"0": 1, "1": 2, "2": 4, "3": 8}[_level(name)]
        hidden_states[name] = drawn(1, (side // level) ** 2, block.proj_in.in_channels)
    reference, t = net.project_reference(hidden_states), torch.tensor(499, device=device)
    x = torch.cat([drawn(clips * frames, 4, side, side)] * (1 + guidance))
    audio, guide = drawn(clips * frames, 50, 384), drawn(guides, net.config.channels[0], side, side)
    given = {"audio": audio, "guide": guide, "reference": reference, "unconditional": clips * guidance}
    return lambda: (forward or net)(x, t, frames=frames, **given)


def _level(name: str) -> str:
    """Halvings of a block's stage: the encoder counts down, the decoder up again."""
    where, number = name.split(".")[:2]
    return number if where == "down_blocks" else str(3 - int(number))


def fused(scale: Scale) -> Iterator[Row]:
    """Every fused operation beside PyTorch's, at the size of a guided window and small against float64."""
    time = functools.partial(milliseconds, scale=scale)
    for side, images in ((scale.pictures[0] // 8, 2 * scale.frames), (8, 4)):
        for row in compared(scale.device, scale.format, side, images, time):
            yield {"latent": side, "images": images} | row


def windows(scale: Scale) -> Iterator[Row]:
    """One window through the denoiser, and how much of that time its kernels run."""
    net = built("denoiser", "v1", scale)
    for size in scale.pictures:
        for model in ("v1", "v2"):
            for guidance in (True, False):
                run = window(net, size, scale.frames, guidance, 1 if model == "v1" else scale.frames)
                run()  # kernels are built and compared, which takes memory of its own
                forget_peak(scale.device)
                spent = milliseconds(run, scale)
                row = {
                    "model": model,
                    "size": size,
                    "guidance": guidance,
                    "ms": spent,
                    "peak GiB": peak(scale.device),
                }
                yield row | {"busy": kernel_milliseconds(run, scale) / spent}


def together(scale: Scale) -> Iterator[Row]:
    """Several windows through the denoiser at once, by kernels and replayed as one CUDA graph."""
    net = built("denoiser", "v1", scale)
    net.arrange()
    for guidance, clips, graph in itertools.product((True, False), (1, 2, 3), (False, True)):
        notes: list[str] = []
        forward = CapturedForward(net, notes.append, recorder(scale)) if graph else net
        run = window(net, scale.pictures[0], scale.frames, guidance, 1, clips, forward)
        run()
        forget_peak(scale.device)
        run()  # a graph is recorded at the second call
        row = {"guidance": guidance, "at once": clips, "graph": graph and not notes}
        yield row | {"ms a window": milliseconds(run, scale) / clips, "peak GiB": peak(scale.device)}
        if notes:
            yield {"note": notes[0]}


def recorder(scale: Scale) -> Record:
    """Of CUDA graphs; in the rehearsal of what stands for them."""
    return cuda_graph(scale.device) if scale.device.type == "cuda" else repeat


def repeat(run: Callable[[], list[Tensor]]) -> tuple[Callable[[], object], list[Tensor]]:
    """Replaying is computing again, into the same results."""
    results = run()

    def replay() -> None:
        for held, found in zip(results, run(), strict=True):
            held.copy_(found)

    return replay, results


def kernel_milliseconds(run: Callable[[], object], scale: Scale) -> float:
    """Time in kernels of one call, by the profiler; on a CPU in its operations."""
    on_gpu = scale.device.type == "cuda"
    kind = torch.profiler.ProfilerActivity.CUDA if on_gpu else torch.profiler.ProfilerActivity.CPU
    try:
        with torch.profiler.profile(activities=[kind]) as profile:
            run()
            synchronize(scale.device)
    except RuntimeError as error:  # counters that only an administrator may read
        print(f"no profile: {error}")
        return math.nan
    rows = profile.key_averages()
    return (
        float(sum(row.self_device_time_total if on_gpu else row.self_cpu_time_total for row in rows)) / 1000
    )


def decode(scale: Scale) -> Iterator[Row]:
    """The autoencoder's decoder, per frame by how many at once."""
    net = built("vae", "v1", scale)
    for size in scale.pictures:
        for count in (1, 2, 4, 8):
            forget_peak(scale.device)
            latents = torch.randn(count, 4, size // 8, size // 8).to(scale.device, scale.format)
            spent = milliseconds(functools.partial(vae.decode, net, latents, count), scale)
            yield {
                "size": size,
                "at once": count,
                "ms a frame": spent / count,
                "peak GiB": peak(scale.device),
            }


class Stages:
    """A report that adds up the seconds between one report and the next, by stage;
    waits for a GPU between stages."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds, self.since = device, dict[str, float](), time.perf_counter()
        self.last = ""

    def __call__(self, progress: Progress) -> None:
        """The time since the last report went into this stage."""
        if progress.stage != self.last or progress.done == progress.total:
            synchronize(self.device)
        self.last = progress.stage
        now = time.perf_counter()
        self.seconds[progress.stage] = self.seconds.get(progress.stage, 0) + now - self.since
        self.since = now


def jobs(scale: Scale) -> Iterator[Row]:
    """Whole videos from files to file, by stage ("rendering" decodes and encodes):
    the second of two, so warm."""
    for model, size, steps in scale.jobs:
        forget_peak(scale.device)
        nets = Networks(**{name: built(name, model, scale) for name in networks.NETWORKS})
        loaded = Settings(model=model, device=scale.device.type, dtype=scale.dtype)  # type: ignore[arg-type]
        engine = DiffusionEngine(nets, scale.device, loaded)
        one_job(engine, size, steps, min(12, scale.job_frames))
        forget_peak(scale.device)
        yield {"model": model, "size": size, "steps": steps} | one_job(engine, size, steps, scale.job_frames)
        del engine, nets


def speeds(scale: Scale) -> Iterator[Row]:
    """A whole V1 video at every speed, without CUDA graphs last."""
    size, steps = scale.pictures[0], 30 if scale.device.type == "cuda" else 3
    nets = Networks(**{name: built(name, "v1", scale) for name in networks.NETWORKS})
    loaded = Settings(model="v1", device=scale.device.type, dtype=scale.dtype)  # type: ignore[arg-type]
    engine = DiffusionEngine(nets, scale.device, loaded)
    size = max(size, 128)
    one_job(engine, size, 1, min(12, scale.job_frames))
    for speed, graphs in (("exact", True), ("fast", True), ("fastest", True), ("fastest", False)):
        forget_peak(scale.device)
        engine.graphs = graphs
        row = {"speed": speed, "graphs": graphs, "steps": steps}
        yield row | one_job(engine, size, steps, scale.job_frames, speed)  # type: ignore[arg-type]


def one_job(engine: DiffusionEngine, size: int, steps: int, frames: int, speed: SpeedName = "exact") -> Row:
    """The shipped portrait says the shipped speech."""
    example, stages, began = ROOT / "echomimic" / "example", Stages(engine.device), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        animate(
            example / "portrait.jpg",
            example / "speech.flac",
            Path(folder) / "out.mp4",
            engine=engine,
            report=stages,
            width=size,
            height=size,
            length=frames,
            steps=steps,
            speed=speed,
            resume=False,
        )
    total = time.perf_counter() - began
    return {"frames": frames, "total s": total, **stages.seconds, "peak GiB": peak(engine.device)}


def precision(scale: Scale) -> Iterator[Row]:
    """Small nets in every number format on the device against float64 on the CPU:
    greatest error by greatest value."""
    torch.manual_seed(0)
    exact = fill(networks.build("denoiser", VARIANTS["v1"], networks.Sizes(SMALL)), torch.float64)
    assert isinstance(exact, UNet)
    want = window(exact, 128, 4, True, 1)()
    for name, dtype in DTYPES.items():
        net = copy.deepcopy(exact).to(scale.device, dtype)
        with float32_products(name):
            found = window(net, 128, 4, True, 1)().cpu().double()
        yield {"format": name, "error": float((found - want).abs().max() / want.abs().max())}


PARTS: dict[str, Callable[[Scale], Iterator[Row]]] = {
    "card": card,
    "peaks": peaks,
    "precision": precision,
    "fused": fused,
    "windows": windows,
    "together": together,
    "decode": decode,
    "jobs": jobs,
    "speeds": speeds,
}
PLANNED = {
    **{"card": 1, "peaks": 15, "precision": 15, "fused": 15, "windows": 40},
    **{"together": 40, "decode": 20, "jobs": 65, "speeds": 90},
}
"""Seconds that the parts should take on an H200, by the figures measured there before; not timed yet."""


def measured(name: str, scale: Scale) -> list[Row]:
    """One part, printed as it comes; what it had when it failed, and why: the other parts go on."""
    print(f"\n## {name}: {' '.join((PARTS[name].__doc__ or '').split())}\n", flush=True)
    rows: list[Row] = []
    try:
        for row in PARTS[name](scale):
            rows.append(row)
            show(row, header=len(rows) == 1 or row.keys() != rows[-2].keys())
    except Exception as error:  # a card is lent for minutes: no part may take the others with it
        traceback.print_exc()
        rows.append({"failed": f"{type(error).__name__}: {str(error)[:300]}"})
        show(rows[-1], header=True)
    return rows


def show(row: Row, header: bool) -> None:
    """A line of a table."""
    if header:
        print("| " + " | ".join(row) + " |\n|" + " --- |" * len(row))
    print("| " + " | ".join(_text(value) for value in row.values()) + " |", flush=True)


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {None: "-", True: "yes", False: "no"}[value]
    if not isinstance(value, float) or value == 0:
        return str(value)
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dtype", default="fp16", choices=[*DTYPES], help="number format of the nets")
    parser.add_argument("--only", nargs="+", default=[*PARTS], choices=[*PARTS], help="parts to measure")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), help="where the numbers go")
    parser.add_argument(
        "--rehearse", action="store_true", help="tiny nets on the CPU: shows that it runs, no more"
    )
    given = parser.parse_args()
    if not given.rehearse and not torch.cuda.is_available():
        parser.error("no CUDA device was found; --rehearse runs on the CPU")
    print(f"planned: {sum(PLANNED[part] for part in given.only)} s on an H200", flush=True)
    scale, began = rehearsal() if given.rehearse else full(given.dtype), time.perf_counter()
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
    logging.getLogger("echomimic").setLevel(logging.INFO)  # which fused kernel does not work here, and why
    found: dict[str, Any] = {"rehearsal": given.rehearse}
    with torch.inference_mode(), float32_products(scale.dtype):
        for name in given.only:
            found[name] = measured(name, scale)
            found["seconds"] = time.perf_counter() - began
            given.json.write_text(json.dumps(found, indent=1))  # after every part: the next may be cut off
    print(f"\n{found['seconds']:.0f} s; written to {given.json}")
    return int(any("failed" in row for name in given.only for row in found[name]))


if __name__ == "__main__":
    sys.exit(main())
