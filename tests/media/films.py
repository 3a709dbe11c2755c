"""Small films made on the spot, whose every frame carries its number
and whose sound is a tone at known times."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from echomimic.media.audio import RATE, Speech
from echomimic.media.video_reader import VideoReader

VIDEO = {"webm": "libvpx", "avi": "mpeg4"}
SOUND = {"mp4": "aac", "mov": "aac", "ts": "aac", "webm": "libopus", "avi": "pcm_s16le"}
_TICK = Fraction(1, 90000)
_BITS, _CELL = 8, 16


def numbered(number: int) -> np.ndarray:
    """A frame (64, 128, 3) that shows a number as light and dark columns over a dark foot."""
    columns = [(number >> bit & 1) * 200 + 25 for bit in range(_BITS)]
    frame = np.repeat(np.repeat(np.array([columns], np.uint8), 64, 0), _CELL, 1)[..., None].repeat(3, 2)
    frame[48:] = 25
    return frame


def number_of(frame: np.ndarray) -> int:
    """The number that a frame shows."""
    cells = frame[:, :, 0].mean(0).reshape(_BITS, -1)[:, 4:-4].mean(1)
    return sum(1 << bit for bit, level in enumerate(cells) if level > 125)


def write_film(
    path: Path,
    moments: Sequence[float],
    tones: Sequence[tuple[float, float]] = (),
    *,
    rate: float = 25.0,
    last: float = 0.0,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    codec: str | None = None,
    sound_rate: int = 48000,
    shape: tuple[int, int] = (128, 64),
) -> Path:
    """A film whose frame i appears at ``moments[i]`` s, with sound of (start, length) s;
    ``last``: the last hold."""
    kind = path.suffix[1:]
    bundled = {"max_delay": "700000"} if kind == "ts" else {}  # several frames of sound under one time
    with av.open(str(path), "w", options=bundled) as container:
        codec = codec or VIDEO.get(kind, "libx264")
        stream = container.add_stream(
            codec, rate=Fraction(rate).limit_denominator(1001), options=options or {}
        )
        (stream.width, stream.height), stream.pix_fmt, stream.bit_rate = shape, "yuv420p", 2_000_000
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        constant = kind == "avi"  # which numbers its frames and has no timestamps
        stream.codec_context.time_base = 1 / Fraction(rate).limit_denominator(1001) if constant else _TICK
        sound = (
            container.add_stream(SOUND.get(kind, "pcm_s16le"), rate=sound_rate, layout="mono")
            if tones
            else None
        )
        queue = [(at, number) for number, at in enumerate(moments)]
        for at, number in queue:
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(at / frame.time_base)
            for packet in stream.encode(frame):
                container.mux(_held(packet, number, moments, last))
        for packet in stream.encode(None):
            container.mux(_held(packet, len(moments) - 1, moments, last))
        for start, length in tones:
            _write_tone(container, sound, start, length, sound_rate)
        if sound is not None:
            container.mux(sound.encode(None))
    return path


def _held(
    packet: "av.Packet[av.VideoStream]", number: int, moments: Sequence[float], last: float
) -> "av.Packet[av.VideoStream]":
    if last and number == len(moments) - 1 and packet.time_base:
        packet.duration = round(last / packet.time_base)
    return packet


def _write_tone(container: object, sound: object, start: float, length: float, rate: int) -> None:
    wave = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(round(length * rate)) / rate)).astype(np.float32)
    for at in range(0, len(wave), 960):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None, at : at + 960]), "fltp", "mono")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(start * rate) + at
        if sound.format.name != "fltp":  # type: ignore[attr-defined]
            pts = frame.pts
            (frame,) = av.AudioResampler(sound.format.name, "mono", rate).resample(frame)  # type: ignore[attr-defined]
            frame.pts, frame.time_base = pts, Fraction(1, rate)
        container.mux(sound.encode(frame))  # type: ignore[attr-defined]


def shown(path: Path) -> list[int]:
    """The numbers that the reader shows, slot by slot."""
    return [number_of(frame) for frame in VideoReader(path)]


def onsets(speech: Speech) -> list[float]:
    """Seconds at which a tone begins that was silent for 50 ms before."""
    level = np.abs(speech.read(0, speech.samples)) > 0.1
    loud = np.flatnonzero(level)
    if not len(loud):
        return []
    return [float(t) / RATE for t in [loud[0], *loud[1:][np.diff(loud) > 0.05 * RATE]]]


def turn(path: Path, matrix: tuple[int, int, int, int], to: Path) -> Path:
    """A copy of an mp4 whose display matrix is (a, b, c, d):
    (x, y) of a pixel is shown at (ax + cy, bx + dy)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (n << 16 for n in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    to.write_bytes(data)
    return to
