"""From Python: a talking video with progress of your own, then the same portrait frame by frame without a
file.

python examples/from_python.py [portrait speech]
"""

import sys
from pathlib import Path

import echomimic

EXAMPLE = Path(echomimic.__file__).parent / "example"


def show(progress: echomimic.Progress) -> None:
    """Called for every frame; raising from here stops the job and leaves nothing half-written."""
    if progress.stage == "rendering" and progress.done % 25 == 0:
        sys.stdout.write(f"{progress.done} of {progress.total} frames\n")


def main() -> None:
    """Two takes to files with one engine, then the second second of another as arrays."""
    portrait, speech = sys.argv[1:3] or (EXAMPLE / "portrait.jpg", EXAMPLE / "speech.flac")
    engine = echomimic.load("preview")
    for seed in (3, 4):
        output = f"talk{seed}.mp4"
        result = echomimic.animate(
            portrait, speech, output, engine=engine, seed=seed, overwrite=True, report=show
        )
        sys.stdout.write(f"{result.output}: {result.frames} frames in {result.took} s\n")

    conditions = echomimic.gather(portrait, speech, echomimic.Settings(seed=5, size=256))
    frames = list(echomimic.render(conditions, engine, frames=range(25, 50)))
    sys.stdout.write(f"{len(frames)} arrays of shape {frames[0].shape}\n")


if __name__ == "__main__":
    main()
