"""From Python: a talking video with progress of your own, then the same portrait frame by frame without a file.

python examples/from_python.py [portrait speech]
"""

import sys
from pathlib import Path

import echomimic
from echomimic import conditions, engine, flow
from echomimic.media.audio import Speech
from echomimic.media.image import read_picture

EXAMPLE = Path(echomimic.__file__).parent / "example"


def show(progress: echomimic.Progress) -> None:
    """Called for every frame; raising from here stops the job and leaves nothing half-written."""
    if progress.stage == "rendering" and progress.done % 25 == 0:
        sys.stdout.write(f"{progress.done} of {progress.total} frames\n")


def main() -> None:
    """One video to a file, then the first second of another take as arrays."""
    portrait, speech = sys.argv[1:3] or (EXAMPLE / "portrait.jpg", EXAMPLE / "speech.flac")
    result = echomimic.animate(portrait, speech, "talk.mp4", seed=3, head_motion=0.7, overwrite=True, report=show)
    sys.stdout.write(f"{result.output}: {result.frames} frames in {result.took} s\n")

    settings = echomimic.Settings(seed=4, length=25, size=256)
    job = conditions.gather(read_picture(portrait), Speech.open(speech), settings)
    frames = list(flow.render(job, engine.load(settings)))
    sys.stdout.write(f"{len(frames)} arrays of shape {frames[0].shape}\n")


if __name__ == "__main__":
    main()
