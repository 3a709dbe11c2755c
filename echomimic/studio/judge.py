"""What a file that came in really is, found out by decoding it in a process with limits: ``python -m
echomimic.studio.judge``.

Where the system can, every file is judged by a fork of its own, which may use so much memory and time, open
few files and write only sound that is being measured.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from echomimic.errors import EchoMimicError
from echomimic.studio.child import Answer, Question, answer_all
from echomimic.studio.problems import Refused, refusal

# Files come from strangers: the process that opens them gets this much memory and CPU time, and no more.
MEMORY = 6 << 30
SECONDS = 120
PEAKS_PER_SECOND = 100
_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
}


def judge(question: Question) -> Answer:
    """``{"path", "kind"}`` → type, suffix and facts; the peaks of a sound as bytes.
    Raises :class:`Refused`."""
    path, kind = Path(question["path"]), question["kind"]
    try:
        return {"portrait": _portrait, "speech": _speech, "motion": _motion, "video": _video}[kind](path)
    except EchoMimicError as error:
        text = str(error).replace(str(path), "the file")
        raise Refused("unsupported", text) from None


def _portrait(path: Path) -> Answer:
    from echomimic.media.image import format_of, read_picture

    height, width = read_picture(path).shape[:2]
    name = format_of(path).lower()
    if name not in _TYPES:
        raise Refused("unsupported", f"{name.upper()} pictures are not taken; save it as PNG, JPEG or WebP")
    return {"type": _TYPES[name], "suffix": f".{name}", "info": {"width": width, "height": height}}, b""


def _speech(path: Path) -> Answer:
    from echomimic.media.audio import RATE, Speech

    name = _container(path, "audio")
    speech = Speech.open(path)
    step = RATE // PEAKS_PER_SECOND
    loud = [np.abs(speech.read(i, i + 600 * RATE)) for i in range(0, speech.samples, 600 * RATE)]
    samples = np.concatenate(loud)
    samples = np.pad(samples, (0, -len(samples) % step)).reshape(-1, step).max(1)
    info = {
        "seconds": speech.seconds,
        "rate": speech.rate,
        "channels": speech.channels,
        "silent": speech.silent,
    }
    kind = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg"}.get(name)
    kind = kind or (
        "audio/webm" if "webm" in name else "audio/mp4" if "mp4" in name else "application/octet-stream"
    )
    return {"type": kind, "suffix": ".sound", "info": info}, np.round(samples.clip(0, 1) * 255).astype(
        np.uint8
    ).tobytes()


def _motion(path: Path) -> Answer:
    from echomimic.motion.files.motion_file import read_motion

    motion = read_motion(path)
    part = motion.face or motion.body
    assert part is not None
    info = {
        "seconds": motion.seconds,
        "fps": part.fps,
        "face": motion.face is not None,
        "body": motion.body is not None,
    }
    return {"type": "application/octet-stream", "suffix": ".npz", "info": info}, b""


def _video(path: Path) -> Answer:
    from echomimic.media.video import VideoReader

    name = _container(path, "video")
    video = VideoReader(path)
    width, height = video.size
    info = {"seconds": video.frames / video.fps, "fps": video.fps, "width": width, "height": height}
    kind = "video/webm" if "webm" in name else "video/mp4" if "mp4" in name else "application/octet-stream"
    return {"type": kind, "suffix": ".video", "info": info}, b""


def _container(path: Path, wanted: str) -> str:
    """The name of the file's container (playlists are none); raises :class:`Refused`."""
    import av

    from echomimic.media.container import open_media

    try:
        with open_media(path) as container:
            if not any(stream.type == wanted for stream in container.streams):
                raise Refused("unsupported", f"the file has no {wanted} in it; give another")
            return str(container.format.name)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(
            "unsupported", f"the file is not {wanted} this program reads ({reason}); convert it first"
        ) from None


def limited(question: Question) -> Answer:
    """:func:`judge` in a fork with limits, where there are forks."""
    if not hasattr(os, "fork"):
        return judge(question)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _judge_and_exit(question, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        line, data = pipe.readline(), pipe.read()
    os.waitpid(child, 0)
    if not line:
        raise Refused("unsupported", "the file takes too much memory or time to decode; give a smaller one")
    head: dict[str, Any] = json.loads(line)
    if refused := head.get("refused"):
        raise Refused(**refused)
    return head, data


def _judge_and_exit(question: Question, writer: int) -> None:
    """The fork's whole life."""
    code = 1
    with contextlib.suppress(BaseException), os.fdopen(writer, "wb") as pipe:
        _limit()
        try:
            head, data = judge(question)
        except Exception as error:
            known = refusal(error)
            kind = "unsupported" if known.kind == "internal" else known.kind
            head, data = {"refused": {"kind": kind, "message": known.message}}, b""
        pipe.write(json.dumps(head).encode() + b"\n" + data)
        code = 0
    os._exit(code)


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    if sys.platform != "win32":
        import av  # noqa: F401
        import PIL.Image  # noqa: F401

        import echomimic.media.audio
        import echomimic.media.image
        import echomimic.media.video  # noqa: F401
    answer_all(limited)
