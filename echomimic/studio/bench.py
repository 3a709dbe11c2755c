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
from echomimic.driving import performance
from echomimic.faces.detect import Face, find_faces
from echomimic.framing.view import view_of
from echomimic.media.audio import RATE, Speech
from echomimic.media.image import Picture, read_picture, resize
from echomimic.motion.performance import Performance
from echomimic.preview.engine import renderer_for
from echomimic.preview.renderer import PreviewRenderer
from echomimic.request import Settings
from echomimic.studio.child import Answer, Question, answer_all
from echomimic.studio.pose import posed, sample_pose

KEPT_PICTURES, KEPT_RENDERERS, KEPT_SPEECHES = 4, 4, 4
FRAMING = ("size", "width", "height", "crop", "fps")


@functools.lru_cache(KEPT_PICTURES)
def picture_of(path: str) -> Picture:
    """The portrait, read once."""
    return read_picture(Path(path))


@functools.lru_cache(KEPT_PICTURES)
def faces_of(path: str) -> tuple[Face, ...]:
    """The faces in it, largest first."""
    return tuple(find_faces(picture_of(path)))


@functools.lru_cache(KEPT_SPEECHES)
def speech_of(path: str) -> Speech:
    """The speech, decoded once; a second of silence when there is none."""
    return Speech.open(path) if path else Speech.from_array(np.zeros(RATE, np.float32), RATE)


@functools.lru_cache(KEPT_RENDERERS)
def prepared(path: str, face: int, framing: tuple[tuple[str, Any], ...]) -> tuple[Conditions, PreviewRenderer]:
    """The portrait ready to move."""
    job = gather(
        picture_of(path), speech_of(""), Settings(**dict(framing)), face=face, allow_silence=True, name="the portrait"
    )
    return job, renderer_for(job)


def faces(question: Question) -> Answer:
    """Boxes of the faces, and what a head crop would show of each."""
    picture = picture_of(question["path"])
    shown = []
    for index, face in enumerate(faces_of(question["path"])):
        head, _ = view_of(picture, face, Settings(crop="head"))
        wide = float(np.ptp(face.points[:, 0]))
        small = (
            f"the face is too small: {wide:.0f} pixels wide, at least {SMALLEST_FACE} are needed; use a larger picture"
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
    whole = picture_of(question["path"])
    width = min(question["width"], whole.shape[1])
    return {}, jpeg(resize(whole, width, max(1, round(whole.shape[0] * width / whole.shape[1]))), 88)


def still(question: Question) -> Answer:
    """One frame at these settings."""
    began = time.perf_counter()
    settings = Settings(**question["settings"])
    framing = tuple((name, getattr(settings, name)) for name in FRAMING)
    job, renderer = prepared(question["path"], question["face"], framing)
    job = replace(job, settings=settings.resolved())
    acted, at = _performance(job, question)
    frame = renderer.render(acted, at)
    data = jpeg(frame, question["quality"])
    return {
        "ms": round((time.perf_counter() - began) * 1000, 1),
        "width": renderer.width,
        "height": renderer.height,
    }, data


def _performance(job: Conditions, question: Question) -> tuple[Performance, int]:
    if question["pose"] is not None:
        return posed(question["pose"], job.fps), 0
    if not question["speech"]:
        return sample_pose(job.settings, job.fps), 0
    speech = speech_of(question["speech"])
    frames = max(1, round(speech.seconds * job.fps))
    job = replace(job, speech=speech, frames=frames)
    return performance(job), min(frames - 1, round(question["time"] * job.fps))


def jpeg(picture: Picture, quality: int) -> bytes:
    """As JPEG."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return out.getvalue()


DOES = {"faces": faces, "picture": picture, "still": still}

if __name__ == "__main__":
    answer_all(lambda question: DOES[question["do"]](question))
