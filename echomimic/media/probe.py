"""What a media file says about itself, and single pictures out of the middle of it."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
from PIL import Image

from echomimic.errors import DriverError
from echomimic.media.container import open_media
from echomimic.media.files import check_readable
from echomimic.media.image import Picture


@dataclass(frozen=True)
class MediaInfo:
    """What the container of a video says. Times are seconds; `sound_*` are None when there is no sound."""

    fps: float
    picture_start: float
    picture_seconds: float | None
    sound_start: float | None
    sound_rate: int | None
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
            if not container.streams.video:
                raise DriverError(f"{path} has no pictures in it; give a video")
            video = container.streams.video[0]
            sound = container.streams.audio[0] if container.streams.audio else None
            return MediaInfo(
                fps=float(video.average_rate or video.guessed_rate or 25),
                picture_start=_seconds(video, video.start_time) or 0.0,
                picture_seconds=_seconds(video, video.duration),
                sound_start=None if sound is None else _seconds(sound, sound.start_time) or 0.0,
                sound_rate=None if sound is None else sound.codec_context.sample_rate,
                comment=container.metadata.get("comment", container.metadata.get("COMMENT", "")),
            )
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, DriverError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise DriverError(f"{path} is not a video this program reads ({reason}); convert it to mp4") from None


def _seconds(stream: "av.stream.Stream", ticks: int | None) -> float | None:
    return None if ticks is None or stream.time_base is None else float(ticks * stream.time_base)


def pictures_at(path: Path | str, moments: Sequence[float]) -> Iterator[Picture | None]:
    """The picture shown at each moment (seconds from the first picture, ascending); None where there is none.

    Jumps to the key frame before each moment, so a few pictures of a long video cost little.
    """
    with open_media(Path(path)) as container:
        stream = container.streams.video[0]
        start = _seconds(stream, stream.start_time) or 0.0
        for moment in moments:
            yield _picture_at(container, stream, start + moment)


def _picture_at(
    container: "av.container.InputContainer", stream: "av.video.stream.VideoStream", moment: float
) -> Picture | None:
    assert stream.time_base is not None
    half = 0.5 / float(stream.average_rate or 25)
    try:
        container.seek(max(0, int(moment / stream.time_base)), stream=stream, backward=True)
        for frame in container.decode(stream):
            if (frame.time or 0.0) >= moment - half:
                return cast(Picture, frame.to_ndarray(format="rgb24"))
    except av.FFmpegError:
        pass
    return None


def jpeg(picture: Picture, quality: int = 85) -> bytes:
    """The picture as the bytes of a JPEG file."""
    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "JPEG", quality=quality)
    return stored.getvalue()
