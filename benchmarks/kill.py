"""Stopping at any moment: signals from the first millisecond on, and ``kill -9`` of a V1 job with tiny nets.

``python -m benchmarks.kill --signals 30 --kills 20``. Counts tracebacks and leftovers; compares the bytes of
a job that was killed and run again with those of one that was left alone.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from echomimic.cli.demo import EXAMPLE

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def start(*arguments: object) -> "subprocess.Popen[bytes]":
    """One command, with Ctrl-C as in a terminal."""
    command = [sys.executable, "-m", "echomimic", *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def stop_by_signals(count: int, rng: random.Random, folder: Path) -> list[str]:
    """What went wrong when the preview was stopped at random moments."""
    wrong, longest = [], 3.0
    for number in range(count):
        for which in STOPS:
            run = start("demo", "-o", folder / "d.mp4", "--length", 20, "--overwrite", "-q")
            moment = rng.uniform(0.001, longest)
            time.sleep(moment)
            run.send_signal(which)
            said = run.communicate(timeout=60)[1].decode(errors="replace")
            left = [p.name for p in folder.iterdir() if p.name != "d.mp4"]
            ours = (
                "echomimic" in said or "Traceback" not in said
            )  # Python's own start, before a line of ours ran
            if left or ("Traceback" in said and ours) or "fault" in said:
                wrong.append(f"{number} {which.name} after {moment:.3f} s: {left} {said[-300:]}")
    return wrong


def tiny_weights(folder: Path) -> Path:
    """V1 with nets of a few channels."""
    from tests import tiny

    return tiny.write(folder, "v1", acc=False, pose=False)


def job(output: Path, weights: Path) -> list[str]:
    """The arguments of a small V1 job: two windows, three steps."""
    sizes = (
        "--width",
        128,
        "--height",
        128,
        "--length",
        14,
        "--steps",
        3,
        "--cfg",
        1,
        "--device",
        "cpu",
        "-q",
    )
    inputs = (EXAMPLE / "portrait.jpg", EXAMPLE / "speech.flac")
    return [*map(str, ("animate", *inputs, "-o", output, "--model", "v1", "--weights", weights, *sizes))]


def fork(arguments: list[str], said: Path) -> int:
    """One command in a child of this process, which has loaded the libraries already; returns its number."""
    if number := os.fork():
        return number
    from echomimic.cli import main as command

    code = 1
    try:
        with said.open("w") as sys.stderr:
            command(arguments)
            code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    finally:
        os._exit(code)


def digest(path: Path) -> str:
    """A checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def warm() -> None:
    """Load what a job needs, but compute nothing: threads would not survive the fork."""
    import torch

    torch.set_num_threads(1)


def kill_nine(count: int, rng: random.Random, folder: Path) -> list[str]:
    """What went wrong when a V1 job was killed at random moments, the encoding included, and run again."""
    weights, wrong, said = tiny_weights(folder / "weights"), [], folder / "said"
    (out := folder / "out").mkdir()
    warm()
    began = time.monotonic()
    if os.waitpid(fork(job(output := out / "v.mp4", weights), said), 0)[1]:
        return [f"the job itself fails: {said.read_text()[-300:]}"]
    lasts, wanted = time.monotonic() - began, digest(output)
    for number in range(count):
        output.unlink(missing_ok=True)
        child, moment = fork(job(output, weights), said), rng.uniform(0, lasts)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        left = [p.name for p in out.iterdir()]
        output.unlink(missing_ok=True)
        code = os.waitpid(fork(job(output, weights), said), 0)[1]
        stays = [p.name for p in out.iterdir() if p != output]
        if code or stays or digest(output) != wanted:
            wrong.append(
                f"{number} after {moment:.2f} of {lasts:.2f} s: {code} {stays} {said.read_text()[-300:]}"
            )
        print(f"kill {number} after {moment:.2f} of {lasts:.2f} s left {left}", flush=True)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signals", type=int, default=30)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        (one := Path(name) / "signals").mkdir()
        (two := Path(name) / "kills").mkdir()
        stopped = stop_by_signals(options.signals, rng, one)
        print(
            f"{options.signals} moments of each signal: {len(stopped)} wrong", *stopped, sep="\n", flush=True
        )
        killed = kill_nine(options.kills, rng, two)
        print(f"{options.kills} kills: {len(killed)} wrong", *killed, sep="\n")


if __name__ == "__main__":
    main()
