"""How fast the preview is: ``python -m benchmarks.preview [--long SECONDS]``.

Prints one table: time of ``--help``, time from start to the first frame, the whole job for a 6 s clip (as a
new process, and after start-up), frames per second of rendering alone and of rendering and encoding, and peak
memory for a 10 s and a long clip. Times are of this machine and moment; compare within one run.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).resolve().parents[1] / "echomimic" / "example"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portrait", type=Path, default=EXAMPLE / "portrait.jpg")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument(
        "--long", type=float, default=60.0, help="seconds of the long clip (600 is the stated goal)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, value, goal in measures(options.portrait, options.size, options.long, Path(folder)):
            print(f"{name:52} {value:>12}   goal {goal}", flush=True)


def measures(portrait: Path, size: int, long: float, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Name, value and goal of each measure, as they are taken."""
    yield "echomimic --help", f"{best(lambda: command('--help')):.2f} s", "< 0.5 s"
    speech = stretched(folder / "six.wav", 6.0)
    job = ("animate", portrait, speech, "-o", folder / "six.mp4", "--overwrite", "--size", size, "-q")
    yield "whole job for a 6 s clip, as a new process", f"{best(lambda: command(*job), 3):.2f} s", ""
    first, whole, drawing = in_process(portrait, speech, folder / "in.mp4", size)
    yield "start (imports, models, analysis) to first frame", f"{first[0]:.2f} s", "< 3 s"
    yield "whole job for a 6 s clip, after start-up", f"{whole:.2f} s", "<= 6 s"
    yield "rendering and encoding", f"{first[1]:.1f} fps", ">= 40 fps"
    yield "rendering alone", f"{drawing:.1f} fps", ""
    for seconds in (10.0, long):
        clip = stretched(folder / f"{seconds:g}.wav", seconds)
        peak = peak_memory(
            "animate", portrait, clip, "-o", folder / f"{seconds:g}.mp4", "--size", str(size), "-q"
        )
        yield f"peak memory, {seconds:g} s of speech", f"{peak:.0f} MiB", "< 1500 MiB, flat"


def command(*arguments: object) -> None:
    """Runs ``echomimic`` as a new process."""
    subprocess.run(
        [sys.executable, "-m", "echomimic", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL
    )


def best(action: object, times: int = 5) -> float:
    """Seconds of the quickest of several runs."""
    assert callable(action)
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return min(taken)


def in_process(
    portrait: Path, speech: Path, out: Path, size: int
) -> tuple[tuple[float, float], float, float]:
    """((seconds to the first frame, fps with encoding), seconds of a second job, fps without encoding)."""
    began = time.perf_counter()
    from echomimic import conditions, engine, flow
    from echomimic.media.audio import Speech
    from echomimic.media.image import read_picture
    from echomimic.media.video import open_writer
    from echomimic.request import Request, Settings

    settings = Settings(size=size)
    loaded = engine.load(settings)
    job = conditions.gather(read_picture(portrait), Speech.open(speech), settings)
    frames = flow.render(job, loaded)
    frame = next(frames)
    first = time.perf_counter() - began
    began = time.perf_counter()
    with contextlib.closing(frames), open_writer(out, flow.video_shape(job), job.speech) as writer:
        writer.add(frame)
        for frame in frames:
            writer.add(frame)
    encoded = (job.frames - 1) / (time.perf_counter() - began)
    request = Request(portrait, speech, out, overwrite=True)
    began = time.perf_counter()
    flow.run(request, settings, loaded=loaded)
    whole = time.perf_counter() - began
    again = flow.render(job, loaded)
    next(again)
    began = time.perf_counter()
    count = sum(1 for _ in again)
    return (first, encoded), whole, count / (time.perf_counter() - began)


def stretched(path: Path, seconds: float) -> Path:
    """The example's speech again and again, ``seconds`` long."""
    from echomimic.media.audio import RATE, Speech

    speech = Speech.open(EXAMPLE / "speech.flac")
    once = (speech.read(0, speech.samples) * 32767).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.resize(once, round(seconds * RATE)).tobytes())
    return path


def peak_memory(*arguments: object) -> float:
    """Peak resident MiB of one ``echomimic`` process."""
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    words = [sys.executable, "-c", code, sys.executable, "-m", "echomimic", *map(str, arguments)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return int(done.stdout) / (1024 if sys.platform == "linux" else 2**20)


if __name__ == "__main__":
    main()
