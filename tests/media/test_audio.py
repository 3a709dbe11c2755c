"""Speech: any container and rate is heard the same; what cannot be heard is refused."""

import enum
import errno
import os
import struct
import wave
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from echomimic.errors import DriverError, ResourceError, SpeechError
from echomimic.media.audio import RATE, Speech
from echomimic.media.container import picture_stream
from echomimic.media.video import Shape, open_writer
from echomimic.media.video_reader import VideoReader

TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)


def write_sound(path: Path, codec: str, rate: int, channels: int, seconds: float = 1.0) -> Path:
    """A 440 Hz tone in any container."""
    layout = "mono" if channels == 1 else "stereo"
    wave_ = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    frame = av.AudioFrame.from_ndarray(
        np.tile(wave_.astype(np.float32), (channels, 1)), format="fltp", layout=layout
    )
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
def test_formats_rates_and_channels(
    tmp_path: Path, suffix: str, codec: str, rate: int, channels: int
) -> None:
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
    (tmp_path / "ab.mp3").write_bytes(
        first + write_sound(tmp_path / "b.mp3", "libmp3lame", 16000, 1).read_bytes()
    )
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
    with pytest.raises(SpeechError, match=r"is a pipe or a device.*save it to a file"):
        Speech.open(tmp_path / "pipe.wav")


def test_no_room_for_temporary_files_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_sound(tmp_path / "s.wav", "pcm_s16le", 16000, 1)
    monkeypatch.setattr("echomimic.media.audio._spool", full)
    with pytest.raises(ResourceError, match=r"s\.wav cannot be decoded into .*No space left.*TMPDIR"):
        Speech.open(tmp_path / "s.wav")


def write_wave(path: Path, samples: np.ndarray, rate: int = 16000, bits: int = 32, tag: int = 3) -> Path:
    """A WAV file whose header says what it is told to, around (T, channels) samples."""
    data, channels = samples.tobytes(), samples.shape[1]
    head = struct.pack(
        "<HHIIHH", tag, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits
    )
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


VOICE = (0.5 * np.sin(2 * np.pi * 300 * np.arange(16000) / 16000)).astype(np.float32)


def heard_in(container: Path) -> np.ndarray:
    with av.open(str(container)) as film:
        return np.concatenate([frame.to_ndarray().mean(0) for frame in film.decode(audio=0)])


@pytest.mark.parametrize("shape", [(1.0, -1.0), (1.0, -0.9), (-0.5, 0.5)])
def test_channels_of_opposite_phase_are_heard(tmp_path: Path, shape: tuple[float, float]) -> None:
    stereo = VOICE[:, None] * np.array([shape], np.float32)
    loud = stereo[:, np.abs(shape).argmax()]
    for speech in (Speech.open(write_wave(tmp_path / "s.wav", stereo)), Speech.from_array(stereo.T, 16000)):
        assert not speech.silent
        assert np.abs(speech.read(0, 16000) - loud).max() < 0.001
        assert "mixed, the channels of" in speech.notes[0]


@pytest.mark.parametrize("constant", [0.2, -0.4])
def test_a_constant_part_hides_no_lost_channel_and_no_silence(tmp_path: Path, constant: float) -> None:
    """A cheap sound card adds a constant to both channels; nobody hears it."""
    stereo = np.stack([VOICE * 0.8, -VOICE * 0.8], 1) + np.float32(constant)
    speech = Speech.open(write_wave(tmp_path / "s.wav", stereo))
    assert "it alone is listened to" in speech.notes[0]
    assert np.abs(speech.read(0, 16000) - stereo[:, 0]).max() < 0.001
    assert Speech.open(write_wave(tmp_path / "s.wav", np.full((16000, 1), constant, np.float32))).silent


@pytest.mark.parametrize("channel", range(6))
def test_speech_in_any_one_channel_is_heard(tmp_path: Path, channel: int) -> None:
    sound = np.zeros((16000, 6), np.float32)
    sound[:, channel] = VOICE
    speech = Speech.open(write_wave(tmp_path / "s.wav", sound))
    assert np.abs(speech.read(0, 16000)).max() > 0.07


def test_ordinary_stereo_is_mixed_without_a_word(tmp_path: Path) -> None:
    speech = Speech.open(write_wave(tmp_path / "s.wav", np.stack([VOICE, 0.5 * VOICE], 1)))
    assert speech.notes == ()
    assert np.abs(speech.read(0, 16000) - 0.75 * VOICE).max() < 0.001


@pytest.mark.parametrize(("scale", "bits"), [(32768.0, 32), (1e9, 32), (1e30, 32), (1e300, 64), (5.0, 32)])
def test_samples_on_another_scale_are_turned_down(tmp_path: Path, scale: float, bits: int) -> None:
    kind = np.float32 if bits == 32 else np.float64
    wave_ = (VOICE.astype(np.float64) * 2 * scale).astype(kind)[:, None]
    speech = Speech.open(write_wave(tmp_path / "s.wav", wave_, bits=bits))
    if scale > 1e140:  # what is absurd is cut off before it is measured
        assert not speech.silent
    else:
        assert np.abs(speech.read(0, 16000) - 2 * VOICE).max() < 0.001
    assert "turned down" in speech.notes[0]
    with open_writer(tmp_path / "v.mp4", Shape(64, 64, 25, 25), speech) as writer:
        for _ in range(25):
            writer.add(np.zeros((64, 64, 3), np.uint8))
    assert 0.5 < np.abs(heard_in(tmp_path / "v.mp4")).max() < 1.6


@pytest.mark.parametrize("scale", [1.0, 30_000.0])
@pytest.mark.parametrize("stray", [500.0, 1e9, 3e38])
def test_a_few_damaged_samples_do_not_silence_the_others(tmp_path: Path, scale: float, stray: float) -> None:
    """A flipped bit in the exponent of a float; one of them must not become full scale for all."""
    wave_ = (VOICE * scale).astype(np.float32)[:, None].repeat(2, 1)
    wave_[5000, 0] = stray * scale if stray < 1e30 else stray
    speech = Speech.open(write_wave(tmp_path / "s.wav", wave_, bits=32))
    heard = np.delete(speech.read(0, 16000), slice(4900, 5100))
    wanted = np.delete(VOICE / (1.0 if scale == 1.0 else np.abs(VOICE).max()), slice(4900, 5100))
    assert np.abs(heard - wanted).max() < 0.01
    assert len(speech.notes) == 1
    sent = np.concatenate([frame.to_ndarray().ravel() for frame in speech.sound()])
    assert np.abs(sent).max() <= 1.0


def test_a_hot_master_is_left_as_it_is(tmp_path: Path) -> None:
    speech = Speech.open(write_wave(tmp_path / "s.wav", VOICE[:, None] * 3))
    assert speech.notes == ()
    assert speech.peak > 0.99


@pytest.mark.parametrize(("tag", "bits"), [(0x1234, 16), (0xFFFF, 16), (1, 0), (1, 4000), (3, 7)])
def test_codings_that_are_not_known_are_refused(tmp_path: Path, tag: int, bits: int) -> None:
    path = write_wave(tmp_path / "s.wav", VOICE[:, None], tag=tag, bits=bits)
    with pytest.raises(SpeechError, match=r"s\.wav .*(save it|give a recording)"):
        Speech.open(path)


@pytest.mark.parametrize("rate", [0, 1, 100, 3999, 768_001, 4_000_000])
def test_rates_that_no_recording_has_are_refused(tmp_path: Path, rate: int) -> None:
    with pytest.raises(SpeechError, match=r"samples per second|not a sound file|no sound"):
        Speech.open(write_wave(tmp_path / "s.wav", VOICE[:, None], rate))
    with pytest.raises(SpeechError, match="samples per second"):
        Speech.from_array(VOICE, rate)


@pytest.mark.parametrize("rate", [True, None, "16000", 16000.5, float("nan"), -16000])
def test_a_rate_is_a_number(rate: object) -> None:
    with pytest.raises(SpeechError, match="samples per second"):
        Speech.from_array(VOICE, rate)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [4000, 11025, 96000, 192000])
def test_unusual_rates_are_used(tmp_path: Path, rate: int) -> None:
    wave_ = (0.5 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate)).astype(np.float32)
    speech = Speech.open(write_wave(tmp_path / "s.wav", wave_[:, None], rate))
    assert speech.seconds == pytest.approx(1.0, abs=0.01)
    assert np.abs(speech.read(2000, 14000)).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("waveform", [np.array(["a"]), np.zeros((2, 3, 4)), None, np.zeros(0)])
def test_arrays_that_are_no_sound(waveform: object) -> None:
    with pytest.raises(SpeechError):
        Speech.from_array(waveform, 16000)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["list.ffconcat", "list.wav", "list.m3u8", "list.mp3"])
def test_lists_of_other_files_are_not_followed(tmp_path: Path, name: str) -> None:
    write_sound(tmp_path / "s.wav", "pcm_s16le", 16000, 1)
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ns.wav\n#EXT-X-ENDLIST\n"
    text = "ffconcat version 1.0\nfile s.wav\n" if name in ("list.ffconcat", "list.wav") else hls
    (tmp_path / name).write_text(text)
    with pytest.raises(SpeechError, match="not a sound file"):
        Speech.open(tmp_path / name)
    with pytest.raises(DriverError, match="not a video"):
        VideoReader(tmp_path / name)


@pytest.mark.parametrize(("marked", "heard"), [(None, 300), (0, 300), (1, 1200)])
def test_the_default_of_several_tracks_is_heard(tmp_path: Path, marked: int | None, heard: int) -> None:
    """A recorder that writes system and microphone apart; the first may well be silent."""
    path = tmp_path / "s.mkv"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in range(2)]
        if marked is not None:
            if not hasattr(av.stream, "Disposition"):
                pytest.skip("this PyAV cannot mark a track")
            for number, track in enumerate(tracks):
                track.disposition = int(number == marked)
        for number, track in enumerate(tracks):
            tone = 16000 * np.sin(2 * np.pi * (300, 1200)[number] * np.arange(16000) / 16000)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            container.mux([*track.encode(frame), *track.encode(None)])
    speech = Speech.open(path)
    assert np.abs(np.fft.rfft(speech.read(0, 16000))).argmax() == heard
    assert speech.notes == (f"{path} has 2 sound tracks; number {1 + (heard == 1200)} is listened to",)


class _Flags(enum.Flag):
    default, attached_pic = 1, 0x400


@pytest.mark.parametrize(
    ("disposition", "moving"),
    [(0, True), (1, True), (0x401, False), (_Flags.default, True), (_Flags.attached_pic, False)],
)
def test_a_cover_is_told_by_numbers_and_by_flags(disposition: object, moving: bool) -> None:
    """PyAV has given either; before 14.2 it gave none."""
    streams: list[Any] = [SimpleNamespace(disposition=disposition), SimpleNamespace()]
    container: Any = SimpleNamespace(streams=SimpleNamespace(video=streams))
    assert (picture_stream(container) is streams[0]) == moving


@pytest.mark.skipif(not hasattr(av.stream, "Disposition"), reason="this PyAV cannot write a cover")
def test_a_cover_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "s.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = 0x400
        container.mux(cover.encode(av.VideoFrame(64, 64, "yuvj420p")))
        container.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(VOICE[None], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(DriverError, match=r"s\.mp4 has no pictures in it; give a video"):
        VideoReader(tmp_path / "s.mp4")
    assert Speech.open(tmp_path / "s.mp4").seconds == pytest.approx(1.0, abs=0.1)
