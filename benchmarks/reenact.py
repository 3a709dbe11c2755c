"""How well a portrait does what a person in a video did: ``python -m benchmarks.reenact VIDEO…``.

The portrait is the video's own calmest frame (or ``--portrait``); the video drives it, and the result is
followed as the video was. Printed for every measure: correlation, slope of what is seen over what was
done (1 is as much, at no delay), and the spread of what was done, in outer eye distances or degrees.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.moving import seen_in
from echomimic import conditions
from echomimic.arrays import Doubles, Floats
from echomimic.driving.face import performance
from echomimic.faces.track import FaceTracker
from echomimic.media.audio import RATE, Speech
from echomimic.media.image import Picture, read_picture
from echomimic.media.video import VideoReader
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.retarget.head_pose import closed_mouth, split_heads
from echomimic.preview.engine import rendered, renderer_for
from echomimic.request import Settings
from training.simulate import MEASURES

UPPER_LIP = "upper lip"


def followed(frames: Iterator[Picture], fps: float) -> tuple[FaceMotion, list[Picture]]:
    """The face in every frame (a frame without one repeats the last), and the frames."""
    tracker = FaceTracker()
    points: list[Floats] = []
    kept: list[Picture] = []
    for picture in frames:
        face = tracker.track(picture)
        if face is not None or points:
            points.append(points[-1] if face is None else face.points)
            kept.append(picture)
    return FaceMotion(np.array(points), fps, (kept[0].shape[1], kept[0].shape[0])), kept


def calmest(motion: FaceMotion) -> int:
    """The frame with a closed mouth and open eyes that looks ahead most."""
    heads = split_heads(motion)
    mouth = np.linalg.norm(heads.face - closed_mouth(heads.face), axis=2).mean(1)
    lids = np.linalg.norm(heads.face[:, [159, 386]] - heads.face[:, [145, 374]], axis=2).mean(1)
    score = mouth / mouth.std() + np.linalg.norm(heads.angles, axis=1) / 0.1
    score[lids < 0.9 * np.median(lids)] += 10
    return int(score.argmin())


def measured(motion: FaceMotion) -> dict[str, Doubles]:
    """(F,) each: the measures, and how far the upper lip is from the nose; smoothed as trackers need."""
    track, _ = seen_in(motion)
    heads = split_heads(motion)
    lip = (heads.face[:, 0, 1] - heads.face[:, 2, 1]).astype(np.float64)
    smooth = np.convolve(np.pad(lip, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    found = {name: track[:, i] for i, name in enumerate(MEASURES)}
    moments = np.linspace(0, len(smooth) - 1, len(track))
    return {**found, UPPER_LIP: np.interp(moments, np.arange(len(smooth)), smooth)}


def acted(motion: FaceMotion, portrait: Picture, size: int) -> FaceMotion:
    """What is seen of the portrait when it does `motion`."""
    speech = Speech.from_array(np.zeros(round(motion.seconds * RATE), np.float32), RATE)
    settings = Settings(size=size, fps=motion.fps, length=len(motion), no_face="any")
    given = conditions.gather(portrait, speech, settings, driver=Motion(face=motion), allow_silence=True)
    frames = rendered(renderer_for(given), performance(given), range(len(motion)))
    return followed(frames, motion.fps)[0]


def agreement(done: Doubles, seen: Doubles) -> tuple[float, float]:
    """Correlation, and the slope of the seen over the done."""
    done, seen = done - done.mean(), seen - seen.mean()
    return float(np.corrcoef(done, seen)[0, 1]), float(done @ seen / (done @ done))


def compared(video: Path, portrait: Path | None, size: int) -> dict[str, tuple[float, float, float]]:
    """Correlation, slope and spread of every measure."""
    reader = VideoReader(video)
    motion, frames = followed(iter(reader), float(reader.fps))
    picture = frames[calmest(motion)] if portrait is None else read_picture(portrait)
    done, seen = measured(motion), measured(acted(motion, picture, size))
    degrees = {"pitch", "yaw", "roll"}
    table = {}
    for name, values in done.items():
        unit = float(np.degrees(1)) if name in degrees else 1.0
        table[name] = (*agreement(values, seen[name]), float(values.std()) * unit)
    return table


def main() -> None:
    """Compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--portrait", type=Path)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    tables = []
    for video in options.videos:
        tables.append(compared(video, options.portrait, options.size))
        print(video.name, flush=True)
        show(tables[-1])
    if len(tables) > 1:
        print("median")
        show({name: _medians([table[name] for table in tables]) for name in tables[0]})


def show(table: dict[str, tuple[float, float, float]]) -> None:
    """Prints one row for each measure."""
    for name, (r, slope, spread) in table.items():
        print(f"  {name:12} r {r:5.2f}   slope {slope:5.2f}   spread {spread:6.3f}", flush=True)


def _medians(rows: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    middle: npt.NDArray[np.float64] = np.median(np.array(rows), axis=0)
    return float(middle[0]), float(middle[1]), float(middle[2])


if __name__ == "__main__":
    main()
