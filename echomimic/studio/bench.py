"""The bench: faces, stills and maps of portraits, drawn at once by a process that keeps what it has prepared.

``python -m echomimic.studio.bench`` answers one question after the other (see ``child``).
"""

import functools
import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from echomimic.conditions import SMALLEST_FACE, Conditions, gather
from echomimic.faces.detect import Face, find_faces
from echomimic.framing.view import view_of
from echomimic.media.audio import RATE, Speech
from echomimic.media.image import Picture, read_picture, resize
from echomimic.motion.files.performance_file import read_performance
from echomimic.motion.performance import Performance
from echomimic.motion.region import spans_of
from echomimic.motion.retarget.from_performance import motion_from_performance
from echomimic.motion.speech.performance_from_speech import Listened, listen, perform
from echomimic.motion.track.body_tracker import portrait_body
from echomimic.preview.engine import renderer_for
from echomimic.preview.renderer import PreviewRenderer
from echomimic.request import Settings
from echomimic.studio.child import Answer, Question, answer_all
from echomimic.studio.curves import curves_of
from echomimic.studio.hands_bench import hands_map, hands_shown
from echomimic.studio.pictures import body_overlay, frame_at, overlay
from echomimic.studio.pose import posed, sample_pose
from echomimic.studio.problems import Refused
from echomimic.studio.scene import keys_of
from echomimic.studio.sources import Borrowed, with_edits

KEPT_PICTURES, KEPT_RENDERERS, KEPT_SPEECHES, KEPT_PERFORMANCES = 4, 4, 4, 8
STRENGTHS = ("expressiveness", "head_motion", "blink_rate", "gaze", "style")
FRAMING = ("size", "width", "height", "crop", "fps")


@functools.lru_cache(KEPT_PICTURES)
def portrait_of(path: str) -> Picture:
    """The portrait, read once."""
    return read_picture(Path(path))


@functools.lru_cache(KEPT_PICTURES)
def faces_of(path: str) -> tuple[Face, ...]:
    """The faces in it, largest first."""
    return tuple(find_faces(portrait_of(path)))


@functools.lru_cache(KEPT_SPEECHES)
def _speech_of(path: str) -> Speech:
    """The speech, decoded once; a second of silence when there is none."""
    return Speech.open(path) if path else Speech.from_array(np.zeros(RATE, np.float32), RATE)


@functools.lru_cache(KEPT_RENDERERS)
def ready_portrait(
    path: str, face: int, framing: tuple[tuple[str, Any], ...]
) -> tuple[Conditions, PreviewRenderer]:
    """The portrait ready to move."""
    job = gather(
        portrait_of(path),
        _speech_of(""),
        Settings(**dict(framing)),
        face=face,
        allow_silence=True,
        name="the portrait",
    )
    return job, renderer_for(job)


def faces(question: Question) -> Answer:
    """Boxes of the faces, and what a head crop would show of each."""
    picture = portrait_of(question["path"])
    shown = []
    for index, face in enumerate(faces_of(question["path"])):
        head, _ = view_of(picture, face, Settings(crop="head"))
        wide = float(np.ptp(face.points[:, 0]))
        small = (
            f"the face is too small: {wide:.0f} pixels wide, at least {SMALLEST_FACE} are needed; "
            "use a larger picture"
        )
        usable = wide >= SMALLEST_FACE
        shown.append(
            {
                "index": index,
                "box": _box(face),
                "score": face.score,
                "usable": usable,
                "remedy": None if usable else small,
                "head": [head.left, head.top, head.right, head.bottom],
            }
        )
    return {"width": picture.shape[1], "height": picture.shape[0], "faces": shown}, b""


def _box(face: Face) -> list[float]:
    low, high = face.points[:, :2].min(0), face.points[:, :2].max(0)
    return [round(float(v), 1) for v in (*low, *high)]


def picture(question: Question) -> Answer:
    """The portrait upright, at most so wide."""
    whole = portrait_of(question["path"])
    width = min(question["width"], whole.shape[1])
    return {}, _jpeg(resize(whole, width, max(1, round(whole.shape[0] * width / whole.shape[1]))), 88)


def still_frame(question: Question) -> Answer:
    """One frame at these settings."""
    began = time.perf_counter()
    settings = Settings(**question["settings"])
    framing = tuple((name, getattr(settings, name)) for name in FRAMING)
    job, renderer = ready_portrait(question["path"], question["face"], framing)
    job = replace(job, settings=settings.resolved())
    acted, at = _performance(job, question)
    frame = renderer.render(acted, at)
    data = _jpeg(frame, question["quality"])
    return {
        "ms": round((time.perf_counter() - began) * 1000, 1),
        "width": renderer.width,
        "height": renderer.height,
    }, data


def _performance(job: Conditions, question: Question) -> tuple[Performance, int]:
    if question["pose"] is not None:
        return posed(question["pose"], job.fps), 0
    if question["performance"]:
        acted = base_of(question["performance"], _stamp(question["performance"]))
    elif question["speech"]:
        acted = _spoken(job, question["speech"])
    else:
        return sample_pose(job.settings, job.fps), 0
    points = None if job.face is None else job.face.points
    acted = with_edits(acted, question["edits"], Borrowed(question["sources"], points, False))
    return acted, min(len(acted) - 1, round(question["time"] * acted.fps))


def _spoken(job: Conditions, path: str) -> Performance:
    """What a preview of this speech would act out, without a driver; the last ones are kept."""
    settings = job.settings
    wanted = [getattr(settings, name) for name in ("seed", *STRENGTHS)]
    key = (path, job.fps, settings.length, *wanted)
    if key not in _SPOKEN:
        while len(_SPOKEN) >= KEPT_PERFORMANCES:
            del _SPOKEN[next(iter(_SPOKEN))]
        frames = settings.length or max(1, round(_speech_of(path).seconds * job.fps))
        strengths = {name: getattr(settings, name) for name in STRENGTHS}
        heard = _heard_in(path, frames, job.fps)
        _SPOKEN[key] = perform(
            _speech_of(path), frames, job.fps, seed=settings.seed, heard=heard, **strengths
        )
    return _SPOKEN[key]


@functools.lru_cache(KEPT_SPEECHES)
def _heard_in(path: str, frames: int, fps: float) -> Listened:
    """What is heard in a speech, heard once: sliders only change how strongly it is acted."""
    return listen(_speech_of(path), frames, fps)


_SPOKEN: dict[tuple[Any, ...], Performance] = {}


@functools.lru_cache(KEPT_PERFORMANCES)
def base_of(path: str, stamp: int) -> Performance:
    """The performance in a file that was written at ``stamp``."""
    return read_performance(path)


def _stamp(path: str) -> int:
    return Path(path).stat().st_mtime_ns


def _acted(question: Question) -> Performance:
    """A take's performance with the edits of the question."""
    points = np.load(question["points"]) if Path(question["points"]).is_file() else None
    base = base_of(question["performance"], _stamp(question["performance"]))
    return with_edits(base, question["edits"], Borrowed(question["sources"], points, False))


def curves(question: Question) -> Answer:
    """A take's performance as curves, from one moment to another."""
    acted = _acted(question)
    first = min(len(acted) - 1, max(0, round(question["start"] * acted.fps)))
    stop = len(acted) if question["stop"] is None else round(question["stop"] * acted.fps)
    return curves_of(acted, first, min(len(acted), max(first + 1, stop))), b""


def changes(question: Question) -> Answer:
    """The frames that these edits would change in the video that is there;
    None when its frames are not known."""
    if not Path(question["keys"]).is_file():
        return {"frames": None}, b""
    kept, wanted = np.load(question["keys"]), keys_of(_acted(question))
    return {"frames": spans_of(kept != wanted) if len(kept) == len(wanted) else [(0, len(wanted))]}, b""


def landmark_map(question: Question) -> Answer:
    """The landmarks of a portrait's face, or of a moment of a take, drawn on nothing."""
    if "performance" in question:
        acted = _acted(question)
        at = min(len(acted) - 1, max(0, round(question["time"] * acted.fps)))
        points = motion_from_performance(
            acted[at : at + 1], np.load(question["points"]), question["size"]
        ).points[0]
        return {}, overlay(points, *question["size"])
    whole = portrait_of(question["path"])
    if question["of"] == "pose":
        return {}, body_overlay(portrait_body(whole), whole.shape[1], whole.shape[0])
    found = faces_of(question["path"])
    if question["face"] >= len(found):
        raise Refused("invalid", f"there is no face {question['face']}; {len(found)} were found")
    return {}, overlay(found[question["face"]].points, whole.shape[1], whole.shape[0])


def frame(question: Question) -> Answer:
    """One frame of a video."""
    return {}, _jpeg(frame_at(Path(question["path"]), question["time"]), 90)


def _jpeg(picture: Picture, quality: int) -> bytes:
    """As JPEG."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return out.getvalue()


DOES = {
    "faces": faces,
    "picture": picture,
    "still": still_frame,
    "curves": curves,
    "changes": changes,
    "map": landmark_map,
    "frame": frame,
    "hands": hands_shown,
    "hands_map": hands_map,
}

if __name__ == "__main__":
    answer_all(lambda question: DOES[question["do"]](question))
