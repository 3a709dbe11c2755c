"""Whether `echomimic evaluate` tells a good clip from a spoiled one: ``python -m benchmarks.ordering``.

Every clip is set beside itself with late or early sound, shuffled sound, a frozen mouth, 2 pixels of jitter,
another person's portrait, darkened, and encoded coarsely. Printed: for each fault and figure the share of
clips in which the spoiled one is told to be worse (goal: 95 %), how far found shifts are off (goal: within 20
ms), what a clip scores against itself, whether a rerun gives the same bytes, and CPU seconds for 10 s of
video (goal: 15 on two cores).

The clips: every portrait says a part of every speech by the preview, and every video is cut into pieces of
2.4 s, whose first frames are their portraits; a piece without sound is judged against itself as the
reference. Every clip that is done is added to the file ``--into`` at once: the same command, run again, goes
on with the others. ``--only 0:5 --into a.jsonl`` does a part of the work, ``--tell a.jsonl b.jsonl`` prints
the table of all parts.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from echomimic.arrays import Floats
from echomimic.evaluate.lips import hear
from echomimic.evaluate.metrics import METRICS, metric_named
from echomimic.evaluate.observe import Observed
from echomimic.evaluate.result import Evaluation
from echomimic.evaluate.run import evaluate
from echomimic.faces.geometry import LOWER_LIP_OUTER, UPPER_LIP_OUTER, umeyama
from echomimic.faces.track import FaceTracker
from echomimic.flow import animate
from echomimic.media.audio import RATE, Speech
from echomimic.media.image import Picture
from echomimic.media.probe import probe
from echomimic.media.video import Shape, VideoReader, open_writer

EXAMPLE = Path(__file__).resolve().parents[1] / "echomimic" / "example"
SECONDS = 2.4
SHIFTS = (-0.24, -0.16, -0.12, -0.08, -0.04, 0.04, 0.08, 0.12, 0.16, 0.24)
SEEN_BY = {
    "shift": ("lag_ms", "opening_r", "reference_lag_ms", "reference_opening_r"),
    "shift >= 80": ("width_r", "reference_width_r"),
    "shift >= 160": ("closure",),
    "shuffled": ("opening_r", "width_r", "closure"),
    "frozen mouth": (
        "mouth_motion",
        "opening_r",
        "width_r",
        "closure",
        "reference_opening_r",
        "reference_width_r",
    ),
    "jitter": ("jitter", "flicker", "psnr", "ssim"),
    "other person": ("identity",),
    "darkened": ("colour", "psnr"),
    "coarse": ("mouth_sharpness", "teeth_sharpness", "psnr", "ssim"),
}
"""The figures that ought to see each fault."""


@dataclass(frozen=True)
class Clip:
    """A clip to spoil: a file, the portrait it came from, another person's, and the speech (None: silent)."""

    name: str
    video: Path
    portrait: Path
    stranger: Path
    speech: npt.NDArray[np.float32] | None


def main() -> None:
    """Measures, or tells what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portraits", type=Path, nargs="*", default=[EXAMPLE / "portrait.jpg"])
    parser.add_argument("--speeches", type=Path, nargs="*", default=[EXAMPLE / "speech.flac"])
    parser.add_argument("--videos", type=Path, nargs="*", default=[])
    parser.add_argument("--only", default=":", help="which clips, as a slice")
    parser.add_argument("--into", type=Path, default=Path("ordering.jsonl"))
    parser.add_argument("--tell", type=Path, nargs="*", help="print the table of these files")
    options = parser.parse_args()
    if options.tell is None:
        with tempfile.TemporaryDirectory() as folder:
            measure(options, Path(folder))
    tell([line for path in options.tell or [options.into] for line in lines_of(path)])


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Judges the chosen clips that are not in the file yet; a clip's lines are added together, when all are
    there."""
    first, last = (int(n) if n else None for n in options.only.split(":"))
    chosen = plans(options.portraits, options.speeches, options.videos, folder)[first:last]
    known = {line["clip"] for line in lines_of(options.into)}
    todo = [(name, make) for name, make in chosen if name not in known]
    began = time.monotonic()
    for done, (name, make) in enumerate(todo, 1):
        lines = [json.dumps(line) + "\n" for line in judged(make(), folder)]
        with options.into.open("a") as out:
            out.write("".join(lines))
        gone = (time.monotonic() - began) / 60
        left = gone / done * (len(todo) - done)
        print(f"{name}: clip {done} of {len(todo)} after {gone:.1f} min, {left:.0f} min left", flush=True)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """What a file of an earlier run holds; nothing when there is none."""
    return [json.loads(line) for line in path.open()] if path.exists() else []


def plans(
    portraits: list[Path], speeches: list[Path], videos: list[Path], folder: Path
) -> list[tuple[str, Callable[[], Clip]]]:
    """Name of each clip, and how it is made; the portraits take turns as each other's stranger."""
    made: list[tuple[str, Callable[[], Clip]]] = []
    for i, portrait in enumerate(portraits):
        stranger = portraits[(i + 1) % len(portraits)]
        for k, speech in enumerate(speeches):
            name = f"{portrait.stem} {speech.stem}"
            made.append((name, _speaking(name, portrait, stranger, speech, 7 * i + k, folder)))
    for video in videos:
        for k in range(int(VideoReader(video).frames / VideoReader(video).fps / SECONDS)):
            name = f"{video.stem} {k}"
            made.append((name, _piece(name, video, k, portraits[k % len(portraits)], folder)))
    return made


def _speaking(
    name: str, portrait: Path, stranger: Path, speech: Path, seed: int, folder: Path
) -> Callable[[], Clip]:
    def make() -> Clip:
        samples = Speech.open(speech).read(round(0.2 * RATE), round((0.2 + SECONDS) * RATE))
        video = folder / f"{name}.mp4"
        animate(portrait, _wav(folder / f"{name}.wav", samples), video, seed=seed)
        return Clip(name, video, portrait, stranger, samples)

    return make


def _piece(name: str, video: Path, number: int, stranger: Path, folder: Path) -> Callable[[], Clip]:
    def make() -> Clip:
        reader = VideoReader(video)
        start = round(number * SECONDS * reader.fps)
        frames = [f for i, f in enumerate(reader) if start <= i < start + round(SECONDS * reader.fps)]
        piece = write(folder / f"{name}.mp4", frames, reader.fps)
        portrait = folder / f"{name}.png"
        Image.fromarray(frames[0]).save(portrait)
        return Clip(name, piece, portrait, stranger, None)

    return make


def _wav(path: Path, samples: npt.NDArray[np.float32]) -> Path:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())
    return path


def write(
    path: Path, frames: list[Picture], fps: float, sound: npt.NDArray[np.float32] | None = None
) -> Path:
    """A video of these frames and this sound."""
    speech = None if sound is None else Speech.from_array(sound, RATE)
    shape = Shape(frames[0].shape[1], frames[0].shape[0], fps, len(frames))
    with open_writer(path, shape, speech, overwrite=True) as writer:
        for frame in frames:
            writer.add(frame)
    return path


def rerun_is_same(clip: Clip, good: Evaluation) -> bool:
    """Whether evaluating a clip again gives the same bytes."""
    return good.to_json() == evaluate(clip.video, portrait=clip.portrait, reference=clip.video).to_json()


def judged(clip: Clip, folder: Path) -> Iterator[dict[str, Any]]:
    """One line for each fault of a clip: its figures and the good clip's."""
    began = time.process_time()
    good = evaluate(clip.video, portrait=clip.portrait, reference=clip.video)
    seconds = time.process_time() - began
    yield {
        **{"clip": clip.name, "fault": "itself", "good": figures(good), "bad": {}},
        **{"same": rerun_is_same(clip, good), "cpu": seconds / good.seconds},
    }
    for fault, shift, bad in faults(clip, good, folder):
        yield {"clip": clip.name, "fault": fault, "shift": shift, "good": figures(good), "bad": bad}


def figures(evaluation: Evaluation) -> dict[str, float]:
    """Every figure that was measured."""
    return {f.name: f.value for f in evaluation.figures if f.value is not None}


def faults(clip: Clip, good: Evaluation, folder: Path) -> Iterator[tuple[str, float, dict[str, float]]]:
    """Each fault, by how many seconds it is late, and the figures of the spoiled clip."""
    reader = VideoReader(clip.video)
    frames, fps = list(reader), reader.fps
    if clip.speech is not None:
        for name, late, speech in spoiled_sounds(clip.speech):
            yield name, late, _heard(clip, good, speech)
    else:
        for shift in SHIFTS:
            late = round(shift * fps)
            moved = [frames[int(np.clip(i - late, 0, len(frames) - 1))] for i in range(len(frames))]
            yield "shift", late / fps, _seen(clip, write(folder / "bad.mp4", moved, fps))
    stranger = evaluate(clip.video, portrait=clip.stranger)
    yield "other person", 0.0, figures(stranger)
    for fault, change in spoilers(frames):
        changed = [change(i, frame) for i, frame in enumerate(frames)]
        spoiled = write(folder / "bad.mp4", changed, fps, clip.speech)
        yield fault, 0.0, _seen(clip, spoiled, beside=fault == "darkened" or clip.speech is None)
    yield "coarse", 0.0, _seen(clip, coarse(clip.video, folder / "bad.mp4"))


def _seen(clip: Clip, video: Path, beside: bool = True) -> dict[str, float]:
    """The figures of a spoiled video, beside the good one or (quicker) alone."""
    return figures(evaluate(video, portrait=clip.portrait, reference=clip.video if beside else None))


def _heard(clip: Clip, good: Evaluation, sound: npt.NDArray[np.float32]) -> dict[str, float]:
    """The figures of lips and sound, when the same pictures have another sound:
    the pictures need no second look."""
    speech = Speech.from_array(sound, RATE)
    heard = hear(speech, good.frames, good.fps)
    observed = Observed(good.fps, good.frames, good.series, {}, probe(clip.video), speech.seconds, heard)
    values = {m.name: m.compute(observed) for m in METRICS if m.group == "Lips and sound"}
    return {name: value for name, value in values.items() if value is not None}


def spoiled_sounds(speech: npt.NDArray[np.float32]) -> Iterator[tuple[str, float, npt.NDArray[np.float32]]]:
    """The sound early and late (late sound: an early mouth),
    and with its fifths of a second in another order."""
    for shift in SHIFTS:
        moved = np.roll(speech, -round(shift * RATE))
        count = abs(round(shift * RATE))
        moved[slice(-count, None) if shift > 0 else slice(0, count)] = 0
        yield "shift", shift, moved
    parts = np.array_split(speech, round(5 * len(speech) / RATE))
    order = np.random.default_rng(0).permutation(len(parts))
    yield "shuffled", 0.0, np.concatenate([parts[i] for i in order])


def spoilers(frames: list[Picture]) -> Iterator[tuple[str, Callable[[int, Picture], Picture]]]:
    """Faults of the picture."""
    size = frames[0].shape[1::-1]
    moves = np.random.default_rng(1).normal(0, 2, (len(frames), 2)).astype(np.float32)

    def shake(number: int, frame: Picture) -> Picture:
        move = np.array([[1, 0, moves[number, 0]], [0, 1, moves[number, 1]]], np.float32)
        return np.asarray(cv2.warpAffine(frame, move, size, borderMode=cv2.BORDER_REFLECT), np.uint8)

    yield "jitter", shake
    yield "darkened", lambda _, frame: (frame * 0.6).astype(np.uint8)
    yield "frozen mouth", _freezer(frames[0])


def _freezer(first: Picture) -> Callable[[int, Picture], Picture]:
    """Lays the first frame's mouth over every frame, moved with the head."""
    tracker, start = FaceTracker(), FaceTracker().track(first)
    assert start is not None
    rigid = [10, 9, 8, 168, 6, 197, 195, 5, 127, 356, 234, 454, 117, 346]
    mouth = start.points[[*UPPER_LIP_OUTER, *LOWER_LIP_OUTER], :2]
    centre, wide = mouth.mean(0), float(np.ptp(mouth[:, 0]))
    mask: Floats = np.zeros(first.shape[:2], np.float32)
    axes = (round(0.75 * wide), round(0.7 * wide))
    cv2.ellipse(mask, [round(float(v)) for v in centre], axes, 0, 0, 360, 1.0, -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.08 * wide), np.float32)

    def freeze(_: int, frame: Picture) -> Picture:
        face = tracker.track(frame)
        if face is None:
            return frame
        scale, rotation, shift = umeyama(start.points[rigid, :2], face.points[rigid, :2])
        move = np.concatenate([scale * rotation, shift[:, None]], 1)
        laid, share = (cv2.warpAffine(p, move, frame.shape[1::-1]) for p in (first, mask))
        return (frame + (laid.astype(np.float32) - frame) * share[..., None]).astype(np.uint8)

    return freeze


def coarse(video: Path, out: Path) -> Path:
    """The same, encoded by x264 at a quality of 36."""
    import subprocess

    command = ["ffmpeg", "-v", "error", "-y", "-i", str(video), "-crf", "36", "-c:a", "copy", str(out)]
    subprocess.run(command, check=True)
    return out


def tell(lines: list[dict[str, Any]]) -> None:
    """Prints the table."""
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    off: list[float] = []
    for line in lines:
        shift, lag = line.get("shift") or 0.0, line.get("fault") == "shift"
        for fault, names in SEEN_BY.items():
            kind, _, least = fault.partition(" >= ")
            if line["fault"] != kind or (least and abs(shift) * 1000 < int(least) - 1):
                continue
            for name in names:
                if name in line["good"] and name in line["bad"]:
                    found[fault, name].append(worse(name, line["good"][name], line["bad"][name]))
        name = "lag_ms" if "lag_ms" in line["good"] else "reference_lag_ms"
        if lag and name in line["good"] and name in line["bad"]:
            off.append(line["bad"][name] - line["good"][name] - 1000 * shift)
    for (fault, name), told in found.items():
        print(f"{fault:14} {name:22} {np.mean(told):6.1%} of {len(told)}")
    everything = [right for told in found.values() for right in told]
    print(f"all pairs of fault and figure: {np.mean(everything):.2%} of {len(everything)}")
    error = np.abs(off)
    print(
        f"shifts: {np.mean(error <= 20):.1%} of {len(off)} within 20 ms, "
        f"median off {np.median(error):.1f} ms, most {error.max():.1f} ms"
    )
    itself = [line for line in lines if line["fault"] == "itself"]
    same = [line["same"] for line in itself if line["same"] is not None]
    perfect = [
        all(abs(line["good"][n] - 1) < 1e-6 for n in ("reference_opening_r", "ssim")) for line in itself
    ]
    print(f"{len(itself)} clips; against itself perfect: {np.mean(perfect):.0%}; same bytes on rerun: "
          f"{np.mean(same):.0%} of {len(same)}; CPU for 10 s with portrait and reference: "
          f"{10 * np.mean([line['cpu'] for line in itself]):.1f} s")  # fmt: skip


def worse(name: str, good: float, bad: float) -> bool:
    """Whether a figure says that the spoiled clip is worse."""
    metric = metric_named(name)
    return metric.distance(bad) > metric.distance(good)


if __name__ == "__main__":
    main()
