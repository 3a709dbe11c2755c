"""Speech: any container and rate is heard the same; what cannot be heard is refused."""

import errno
import os
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from echomimic.errors import ResourceError, SpeechError
from echomimic.media.audio import RATE, Speech

TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)


def write_sound(path: Path, codec: str, rate: int, channels: int, seconds: float = 1.0) -> Path:
    """A 440 Hz tone in any container."""
    layout = "mono" if channels == 1 else "stereo"
    wave_ = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    frame = av.AudioFrame.from_ndarray(np.tile(wave_.astype(np.float32), (channels, 1)), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "channels"),
    [
        ("wav", "pcm_s16le", 8000, 1),
        ("wav", "pcm_s24le", 48000, 2),
        ("flac", "flac", 44100, 2),
        ("mp3", "libmp3lame", 44100, 2),
        ("m4a", "aac", 22050, 1),
        ("ogg", "libopus", 48000, 2),
        ("opus", "libopus", 48000, 1),
        ("mp4", "aac", 48000, 2),
    ],
)
def test_formats_rates_and_channels(tmp_path: Path, suffix: str, codec: str, rate: int, channels: int) -> None:
    speech = Speech.open(write_sound(tmp_path / f"s.{suffix}", codec, rate, channels))
    assert (speech.rate, speech.channels) == (rate, channels)
    assert abs(speech.seconds - 1.0) < 0.08
    heard = speech.read(4000, 8000)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert abs(np.argmax(spectrum) * RATE / len(heard) - 440) < 8
    assert abs(np.abs(heard).max() - 0.5) < 0.08


def test_sixteen_bit_mono_at_16_khz_passes_unchanged(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-20000, 20000, 9000).astype(np.int16)
    with wave.open(str(tmp_path / "s.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    speech = Speech.open(tmp_path / "s.wav")
    assert (speech.read(0, speech.samples) * 32768 == samples).all()


def test_read_outside_is_zero() -> None:
    speech = Speech.from_array(TONE, 48000)
    assert speech.samples == RATE
    assert (speech.read(-100, 0) == 0).all()
    assert len(speech.read(RATE - 10, RATE + 10)) == 20
    assert (speech.read(RATE + 5, RATE + 15) == 0).all()


def test_silence_is_known() -> None:
    assert Speech.from_array(np.zeros(48000), 48000).silent
    assert not Speech.from_array(TONE * 0.02, 48000).silent


def test_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no sound" * 40)
    write_sound(tmp_path / "short.wav", "pcm_s16le", 16000, 1, seconds=0.1)
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
    for name, says in {
        "missing.wav": "no such file",
        ".": "is a folder",
        "text.mp3": "not a sound file",
        "short.wav": "lasts only 0.10 s",
        "empty.wav": "no sound",
    }.items():
        with pytest.raises(SpeechError, match=says):
            Speech.open(tmp_path / name)
    with pytest.raises(SpeechError, match="empty"):
        Speech.from_array(np.zeros((2, 0)), 16000)


def test_picture_without_sound_track(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(SpeechError, match="no sound track"):
        Speech.open(tmp_path / "mute.mp4")


def test_tags_in_an_old_encoding_do_not_matter(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "s.wav", "pcm_s16le", 16000, 1)
    tag = b"INAM" + (6).to_bytes(4, "little") + b"M\xfcller"
    info = b"LIST" + (4 + len(tag)).to_bytes(4, "little") + b"INFO" + tag
    data = path.read_bytes() + info
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    assert Speech.open(path).samples == 16000


@pytest.mark.parametrize("name", ["a:b.wav", "100%d.wav", "-i.wav", "a b ü 口.wav"])
def test_any_file_name_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_sound(tmp_path / "s.wav", "pcm_s16le", 16000, 1).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert Speech.open(name).samples == 16000


def test_joined_files_of_different_rates_are_heard_to_the_end(tmp_path: Path) -> None:
    first = write_sound(tmp_path / "a.mp3", "libmp3lame", 44100, 2).read_bytes()
    (tmp_path / "ab.mp3").write_bytes(first + write_sound(tmp_path / "b.mp3", "libmp3lame", 16000, 1).read_bytes())
    speech = Speech.open(tmp_path / "ab.mp3")
    assert 1.9 < speech.seconds < 2.3
    assert np.abs(speech.read(speech.samples - 4000, speech.samples)).max() > 0.2


def test_layouts_that_have_no_name_are_averaged(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "many.wav"), "wb") as file:
        file.setnchannels(17)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.tile((TONE[:RATE, None] * 32767).astype(np.int16), (1, 17)).tobytes())
    speech = Speech.open(tmp_path / "many.wav")
    assert speech.samples == RATE
    assert np.abs(speech.read(0, RATE) - TONE[:RATE]).max() < 0.001


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(SpeechError, match=r"pipe.*save it to a file"):
        Speech.open(tmp_path / "pipe.wav")


def test_no_room_for_temporary_files_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_sound(tmp_path / "s.wav", "pcm_s16le", 16000, 1)
    monkeypatch.setattr("echomimic.media.audio._spool", full)
    with pytest.raises(ResourceError, match=r"s\.wav cannot be decoded into .*No space left.*TMPDIR"):
        Speech.open(tmp_path / "s.wav")
