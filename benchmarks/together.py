"""One video by several processes, on this machine: ``python -m benchmarks.together [2 3]``; and by several
"devices" of one process: ``--devices``.

For each number of processes (gloo, tiny networks, CPU): whether every rank's latents are ``torch.equal`` to
one process's for all six variants, whether a run that three left after a step is finished by two to the same
latents, and what a rank's error, and a rank that is killed, look like. ``--devices``: ``cpu,cpu`` beside
``cpu``, two windows of 12 frames at 192 × 192 in tiny networks, by turns, on all threads there are.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from echomimic.conditions import Conditions, gather
from echomimic.diffusion.decoding import FrameDecoder
from echomimic.diffusion.engine import load_engine
from echomimic.diffusion.exchange import TogetherError, join_ranks
from echomimic.media.output import state_of
from echomimic.progress import Progress
from echomimic.ranks import ranks_of_process
from echomimic.request import Settings
from echomimic.variants import ModelName

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "echomimic" / "example"
MODELS: list[ModelName] = ["v1", "v1-acc", "v1-pose", "v1-pose-acc", "v2", "v2-acc"]
FRAMES = 11


def settings(model: ModelName, folder: Path, steps: int = 2) -> Settings:
    """A short video of ``model`` in windows of 4, tiny."""
    return Settings(
        model=model,
        weights=folder / model[:2],
        device="cpu",
        dtype="fp32",
        length=FRAMES,
        steps=steps,
        width=128,
        height=128,
        context_frames=4,
        context_overlap=1,
    )


def conditions(given: Settings, output: Path | None = None) -> Conditions:
    """The example's portrait and speech."""
    return gather(EXAMPLE / "portrait.jpg", EXAMPLE / "speech.flac", given, output=output)


def work(folder: Path, task: str) -> None:
    """What one process does; rank r's latents are saved as ``MODEL.r.pt``."""
    ranks = ranks_of_process()
    with join_ranks(ranks) as exchange:
        models: list[ModelName] = MODELS if task == "variants" else ["v1-acc"]
        for model in models:
            given = settings(model, folder, 2 if task == "variants" else 4)
            engine = load_engine(given)
            engine.exchange = exchange
            output = folder / "out.mp4" if ranks.rank == 0 and task != "variants" else None

            def report(progress: Progress) -> None:
                if task == "begin" and ranks.rank == 0 and "step 3 " in progress.detail:
                    raise KeyboardInterrupt
                if task in ("fail", "kill") and ranks.rank == 1 and "step 2 " in progress.detail:
                    os.kill(os.getpid(), signal.SIGKILL) if task == "kill" else _full()

            latents = engine._latents(engine._job(conditions(given, output), report))
            torch.save(latents, folder / f"{model}.{ranks.rank}.pt")


def _full() -> None:
    raise MemoryError("planted")


def together(folder: Path, count: int, task: str) -> list[str]:
    """Runs ``count`` processes; the last line each one says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    going = []
    for rank in range(count):
        ranks = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "MASTER_PORT": port}
        environment = {**os.environ, **{k: str(v) for k, v in ranks.items()}, "MASTER_ADDR": "127.0.0.1"}
        command = [sys.executable, "-m", "benchmarks.together", "--work", str(folder), "--task", task]
        going.append(subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True))
    said = [process.communicate(timeout=900)[1].strip().splitlines()[-1:] for process in going]
    return [
        f"exit {p.returncode}{': ' if words else ''}{''.join(words)}"
        for p, words in zip(going, said, strict=True)
    ]


def compare(folder: Path, count: int) -> None:
    """All variants by ``count`` processes, beside one."""
    began = time.monotonic()
    ended = together(folder, count, "variants")
    equal = []
    for model in MODELS:
        given = settings(model, folder)
        engine = load_engine(given)
        one = engine._latents(engine._job(conditions(given), lambda _: None))
        found = [torch.load(folder / f"{model}.{rank}.pt") for rank in range(count)]
        equal.append(all(torch.equal(one, latents) for latents in found))
    print(f"{count} processes: {sum(equal)} of {len(MODELS)} variants torch.equal on every rank, {ended}, "
          f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip


def devices(folder: Path) -> None:
    """Seconds of ``cpu`` and of ``cpu,cpu``, by turns, and whether their latents and frames are equal."""
    row = replace(
        settings("v1", folder), length=18, width=192, height=192, context_frames=12, context_overlap=3
    )
    engines = {name: load_engine(replace(row, devices=name)) for name in ("cpu", "cpu,cpu")}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    found = {}
    for name, engine in [*engines.items()] * 3:
        job, began = engine._job(conditions(row), lambda _: None), time.monotonic()
        latents = engine._latents(job)
        half = time.monotonic()
        frames = list(FrameDecoder(engine._autoencoders()).frames(latents, range(len(latents))))
        took[name].append((half - began, time.monotonic() - half))
        found[name] = latents, np.stack(frames)
    (one, pictures), (two, others) = found.values()
    best = {name: [round(min(part), 1) for part in zip(*runs, strict=True)] for name, runs in took.items()}
    print(f"{torch.get_num_threads()} threads; seconds denoising, decoding: {best}; latents equal "
          f"{torch.equal(one, two)}, frames equal {np.array_equal(pictures, others)}, most apart "
          f"{float((one - two).abs().max()):.1e}")  # fmt: skip


def go_on(folder: Path) -> None:
    """Three processes stop after two steps of four, two finish."""
    stopped = together(folder, 3, "begin")
    kept = state_of(folder / "out.mp4").exists()
    ended = together(folder, 2, "finish")
    given = settings("v1-acc", folder, steps=4)
    engine = load_engine(given)
    one = engine._latents(engine._job(conditions(given), lambda _: None))
    equal = torch.equal(one, torch.load(folder / "v1-acc.1.pt"))
    print(
        f"begun by 3 ({stopped}, state kept: {kept}), finished by 2 ({ended}): torch.equal {equal}",
        flush=True,
    )


def main() -> None:
    """Runs everything, or one process's part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", type=int, nargs="*", default=[2, 3])
    parser.add_argument("--devices", action="store_true")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        try:
            work(options.work, options.task)
        except TogetherError:
            sys.exit(2)
        return
    from tests import tiny

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for family in ("v1", "v2"):
            tiny.write(folder / family, family)
        if options.devices:
            return devices(folder)
        for count in options.counts:
            compare(folder, count)
        go_on(folder)
        for task in ("fail", "kill"):
            state_of(folder / "out.mp4").unlink(missing_ok=True)
            print(f"{task}: {together(folder, 3, task)}", flush=True)


if __name__ == "__main__":
    main()
