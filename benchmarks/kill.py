"""Stopping at any moment: signals from the first millisecond on, and ``kill -9`` of a V1 job with tiny nets.

``python -m benchmarks.kill --signals 30 --kills 20``. Counts tracebacks and leftovers; compares the bytes of a job that
was killed and run again with those of one that was left alone.
"""

import argparse
import hashlib
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
            ours = "echomimic" in said or "Traceback" not in said  # Python's own start, before a line of ours ran
            if left or ("Traceback" in said and ours) or "fault" in said:
                wrong.append(f"{number} {which.name} after {moment:.3f} s: {left} {said[-300:]}")
    return wrong


def tiny_weights(folder: Path) -> Path:
    """V1 with nets of a few channels."""
    from tests import tiny

    return tiny.write(folder, "v1", acc=False, pose=False)


def job(output: Path, weights: Path) -> list[object]:
    """The arguments of a V1 job of a few seconds."""
    sizes = ("--width", 128, "--height", 128, "--length", 24, "--steps", 4, "--device", "cpu", "-q")
    return ["animate", EXAMPLE / "portrait.jpg", EXAMPLE / "speech.flac", "-o", output, "--model", "v1",
            "--weights", weights, *sizes]  # fmt: skip


def digest(path: Path) -> str:
    """A checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kill_nine(count: int, rng: random.Random, folder: Path) -> list[str]:
    """What went wrong when a V1 job was killed at random moments and run again."""
    weights, wrong = tiny_weights(folder / "weights"), []
    out = folder / "out"
    out.mkdir()
    began = time.monotonic()
    whole = start(*job(out / "whole.mp4", weights))
    if whole.wait(300):
        return [f"the job itself fails: {whole.communicate()[1].decode()[-300:]}"]
    lasts, wanted = time.monotonic() - began, digest(out / "whole.mp4")
    (out / "whole.mp4").unlink()
    for number in range(count):
        output = out / "v.mp4"
        killed = start(*job(output, weights))
        moment = rng.uniform(0.3 * lasts, lasts)
        time.sleep(moment)
        killed.kill()
        killed.communicate()
        output.unlink(missing_ok=True)
        again = start(*job(output, weights))
        said = again.communicate(timeout=300)[1].decode(errors="replace")
        left = [p.name for p in out.iterdir() if p != output]
        if again.returncode or left or digest(output) != wanted:
            wrong.append(f"{number} after {moment:.2f} of {lasts:.2f} s: {again.returncode} {left} {said[-300:]}")
        output.unlink(missing_ok=True)
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
        print(f"{options.signals} moments of each signal: {len(stopped)} wrong", *stopped, sep="\n", flush=True)
        killed = kill_nine(options.kills, rng, two)
        print(f"{options.kills} kills: {len(killed)} wrong", *killed, sep="\n")


if __name__ == "__main__":
    main()
