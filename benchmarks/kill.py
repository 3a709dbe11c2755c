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
from collections.abc import Iterator
from pathlib import Path

from echomimic.cli.demo import EXAMPLE
from echomimic.media.output import part_of

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 60
"""Seconds within which a job that was stopped, or one that runs again, has to end."""


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
    wrong: list[str] = []
    output, longest = folder / "v.mp4", _undisturbed(folder / "v.mp4")
    for number in range(count):
        for which in STOPS:
            output.unlink(missing_ok=True)
            moment = rng.uniform(0.001, longest)
            faults = list(_stopped(which, moment, output))
            print(
                f"{which.name} {number} after {moment:.3f} of {longest:.1f} s: {faults or 'well'}", flush=True
            )
            wrong += [f"{number} {which.name} after {moment:.3f} s: {fault}" for fault in faults]
    return wrong


def _animate(output: Path) -> "subprocess.Popen[bytes]":
    given = (EXAMPLE / "portrait.jpg", EXAMPLE / "speech.flac", "-o", output)
    return start("animate", *given, "--length", 20, "--size", 128, "-q")


def _undisturbed(output: Path) -> float:
    """Seconds that the job takes, which has to go well."""
    began = time.monotonic()
    if _animate(output).wait(PATIENCE):
        raise SystemExit("the job fails by itself; mend it first")
    return time.monotonic() - began


def _stopped(which: signal.Signals, moment: float, output: Path) -> Iterator[str]:
    """What is wrong with how a job ended that got a signal."""
    run = _animate(output)
    time.sleep(moment)
    run.send_signal(which)
    try:
        said = run.communicate(timeout=PATIENCE)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        run.kill()
        run.communicate()
        yield f"does not end within {PATIENCE} s"
        return
    # before a line of ours ran it is Python itself that ends, by its own traceback or the plain signal
    early = "Traceback" in said and "echomimic" not in said
    if not early and ("Traceback" in said or "fault" in said):
        yield said[-300:]
    done = run.returncode == 0
    if not early and not done and run.returncode not in (128 + which, -which):
        yield f"exit code {run.returncode}"
    if (left := [p.name for p in output.parent.iterdir() if p != output]) or output.exists() != done:
        yield f"exit code {run.returncode} leaves {left}, a video: {output.exists()}"


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


def ended(child: int) -> int:
    """How a child ended; one that takes too long is killed."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _sleep(number: int, lasts: float, rng: random.Random, part: Path) -> None:
    """Until a random moment: of the whole job, of its last third (decoding), or while the file is written."""
    if number % 3 < 2:
        time.sleep(lasts * rng.uniform((number % 3) * 0.66, 1))
        return
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not part.exists() and not part.with_name("v.mp4").exists():
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.1))


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
    if ended(fork(job(output := out / "v.mp4", weights), said)):
        return [f"the job itself fails: {said.read_text()[-300:]}"]
    lasts, wanted = time.monotonic() - began, digest(output)
    for number in range(count):
        output.unlink(missing_ok=True)
        began, child = time.monotonic(), fork(job(output, weights), said)
        _sleep(number, lasts, rng, part_of(output))
        moment = time.monotonic() - began
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        left = [p.name for p in out.iterdir()]
        output.unlink(missing_ok=True)
        code = ended(fork(job(output, weights), said))
        stays = [p.name for p in out.iterdir() if p != output]
        if code or stays or not output.exists() or digest(output) != wanted:
            wrong.append(
                f"{number} after {moment:.2f} of {lasts:.2f} s: {code} {stays} {said.read_text()[-300:]}"
            )
        verdict = "wrong" if code or stays else "well"
        print(f"kill {number} after {moment:.2f} of {lasts:.2f} s left {left}: {verdict}", flush=True)
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
