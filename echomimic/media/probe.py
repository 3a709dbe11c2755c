"""What a video file says about itself, and pictures as the bytes of a file."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from PIL import Image

from echomimic.errors import DriverError
from echomimic.media.container import open_media, picture_stream, sound_stream
from echomimic.media.files import check_readable
from echomimic.media.image import Picture


@dataclass(frozen=True)
class MediaInfo:
    """What the container of a video says. Times are seconds; `sound_*` are None when there is no sound."""

    picture_start: float
    sound_start: float | None
    comment: str

    @property
    def sound_delay(self) -> float:
        """By how much the sound starts after the picture (before it: negative); 0 without sound."""
        return 0.0 if self.sound_start is None else self.sound_start - self.picture_start


def probe(path: Path | str) -> MediaInfo:
    """Reads the header of a video. Raises :class:`DriverError` when it is none."""
    path = Path(path)
    check_readable(path, DriverError, "a video")
    try:
        with open_media(path) as container:
            video, sound = picture_stream(container), sound_stream(container)
            if video is None:
                raise DriverError(f"{path} has no pictures in it; give a video")
            return MediaInfo(
                picture_start=_seconds(video, video.start_time) or 0.0,
                sound_start=None if sound is None else _seconds(sound, sound.start_time) or 0.0,
                comment=container.metadata.get("comment", container.metadata.get("COMMENT", "")),
            )
    except DriverError:
        raise
    except (av.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DriverError(f"{path} is not a video this program reads ({reason}); convert it to mp4") from None


def _seconds(stream: Any, ticks: int | None) -> float | None:
    return None if ticks is None or stream.time_base is None else float(ticks * stream.time_base)


def jpeg(picture: Picture, quality: int = 85) -> bytes:
    """The picture as the bytes of a JPEG file."""
    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "JPEG", quality=quality)
    return stored.getvalue()
