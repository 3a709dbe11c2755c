"""Does memory grow with the video? Peak memory of a 48-frame and a 480-frame run of the tiny model, in fresh
processes.

Run: python benchmarks/diffusion_memory.py [--steps N] [--pixels N]. Prints both peaks and what the latents
account for; exits with 1 when the runs differ by more than the additional latents + 5 % of the peak.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
LENGTHS = (48, 480)


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--measure", nargs=2, metavar=("WEIGHTS", "FRAMES"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(render(Path(given.measure[0]), int(given.measure[1]), given.steps, given.pixels))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write_weights(Path(folder))
        peaks = [measured(Path(folder), frames, given.steps, given.pixels) for frames in LENGTHS]
    per_frame = 4 * (given.pixels // 8) ** 2 * 4 / 2**20
    latents = per_frame * (LENGTHS[1] - LENGTHS[0])
    for frames, peak in zip(LENGTHS, peaks, strict=True):
        print(f"{frames:4} frames: peak {peak:7.1f} MiB, of which latents {per_frame * frames:5.2f} MiB")
    grown, allowed = peaks[1] - peaks[0], latents + 0.05 * peaks[0]
    print(f"difference {grown:.1f} MiB; allowed {allowed:.1f} MiB (additional latents {latents:.2f} + 5 %)")
    return int(grown > allowed)


def write_weights(folder: Path) -> None:
    """Tiny networks in the official layout."""
    from tests import tiny

    tiny.write(folder, "v1", pose=False)


def measured(folder: Path, frames: int, steps: int, pixels: int) -> float:
    """Peak memory in MiB of one run in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(folder), str(frames), "--steps", str(steps)]
    done = subprocess.run([*command, "--pixels", str(pixels)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def render(folder: Path, frames: int, steps: int, pixels: int) -> float:
    """Renders ``frames`` and throws them away; the peak of this process in MiB."""
    import numpy as np

    from echomimic.conditions import gather
    from echomimic.diffusion.engine import load_engine
    from echomimic.media.audio import Speech
    from echomimic.media.image import read_picture
    from echomimic.request import Settings

    size = {"width": pixels, "height": pixels, "length": frames, "steps": steps, "cfg": 1.0}
    settings = Settings(model="v1", weights=folder, device="cpu", dtype="fp32", **size)  # type: ignore[arg-type]
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000 * 21).clip(-1, 1)
    portrait = Path(__file__).resolve().parents[1] / "echomimic" / "example" / "portrait.jpg"
    job = gather(read_picture(portrait), Speech.from_array(noise, 16_000), settings)
    made = sum(1 for _ in load_engine(job.settings).frames(job))
    assert made == frames
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
