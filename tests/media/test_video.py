"""Video out: whole or not at all, frames and sound aligned, tagged.
Video in: every frame, upright, steady rate."""

import errno
import os
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from echomimic.errors import DriverError, OutputError
from echomimic.media.audio import Speech
from echomimic.media.video import Shape, VideoReader, check_output, open_writer


def tone(seconds: float, rate: int = 16000, channels: int = 1) -> Speech:
    wave = 0.3 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)
    return Speech.from_array(np.tile(wave, (channels, 1)), rate)


def picture(i: int) -> np.ndarray:
    frame = np.full((64, 96, 3), 60, np.uint8)
    frame[:, : 8 * (i + 1)] = (200, 120, 30)
    return frame


def write(path: Path, speech: Speech | None, frames: int, fps: float = 25.0) -> Path:
    with open_writer(
        path, Shape(96, 64, fps, frames, {"title": "Generated", "comment": "by a test"}), speech
    ) as writer:
        for i in range(frames):
            writer.add(picture(i % 10))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2)])
def test_frames_and_sound_are_aligned(tmp_path: Path, suffix: str, rate: int, channels: int) -> None:
    path = write(tmp_path / f"v{suffix}", tone(1.013, rate, channels), 25)
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 25
        tags = {k.lower(): v for k, v in container.metadata.items()}
        assert tags["title"] == "Generated"
        assert tags["comment"] == "by a test"
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(audio=0))
        assert abs(samples / stream.rate - 1.013) < 0.024
        assert stream.codec_context.channels == channels
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("spoken", "frames"), [(2.0, 25), (0.5, 25)])
def test_a_length_of_its_own_cuts_or_pads_the_sound(tmp_path: Path, spoken: float, frames: int) -> None:
    path = write(tmp_path / "v.mp4", tone(spoken), frames)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert abs(float(stream.duration * stream.time_base) - 1.0) < 0.002


def test_colours_survive(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mp4", None, 3)
    seen = list(VideoReader(path))
    assert len(seen) == 3
    assert np.abs(seen[0].astype(int) - picture(0))[:, :4].mean() < 2
    assert np.abs(seen[2].astype(int) - picture(2))[:, 40:].mean() < 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system holds no process to a core")
def test_the_number_of_cores_does_not_change_the_file(tmp_path: Path) -> None:
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("there is one core only")
    noise = np.random.default_rng(0).integers(0, 255, (288, 384, 3)).astype(np.uint8)
    files = []
    try:
        for held in ({min(cores)}, cores):
            os.sched_setaffinity(0, held)
            with open_writer(tmp_path / f"{len(held)}.mp4", Shape(384, 288, 25, 6), None) as writer:
                for i in range(6):
                    writer.add(np.roll(noise, 3 * i, 1))
            files.append((tmp_path / f"{len(held)}.mp4").read_bytes())
    finally:
        os.sched_setaffinity(0, cores)
    assert files[0] == files[1]


def test_image_sequence(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", tone(0.4), 10)
    assert sorted(p.name for p in folder.iterdir())[:2] == ["000001.png", "000002.png"]
    assert Speech.open(folder / "sound.wav").seconds == pytest.approx(0.4)


@pytest.mark.parametrize("name", ["v.mp4", "frames"])
def test_nothing_stays_of_a_broken_job(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        open_writer(tmp_path / name, Shape(96, 64, 25, 9), tone(1)) as writer,
    ):
        writer.add(picture(0))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_said_and_cleaned_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(OutputError, match="disk is full"),
        open_writer(tmp_path / "v.mp4", Shape(96, 64, 25, 9), None) as w,
    ):

        class Full:
            def encode(self, _: object) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(w, "_video", Full())
        w.add(picture(0))
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        check_output(path, overwrite=False)
    check_output(path, overwrite=True)
    assert path.read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with (
        pytest.raises(OutputError, match="appeared"),
        open_writer(path, Shape(96, 64, 25, 2), None) as writer,
    ):
        writer.add(picture(0))
        path.write_text("mine")
    assert path.read_text() == "mine"


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    for name, says in {"v.avi": "avi is not written", "no/such/v.mp4": "does not exist"}.items():
        with pytest.raises(OutputError, match=says):
            check_output(tmp_path / name, overwrite=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.png").write_text("sun")
    (tmp_path / "plain").write_text("mine")
    for name, says in {
        "mine": "not an image sequence",
        "photos": "not an image sequence",
        "plain": "a file",
    }.items():
        with pytest.raises(OutputError, match=says):
            check_output(tmp_path / name, overwrite=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="device"):
        check_output(tmp_path / "pipe", overwrite=True)


def test_not_a_video(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_text("text" * 100)
    with pytest.raises(DriverError, match="not a video"):
        VideoReader(tmp_path / "v.mp4")
    with pytest.raises(DriverError, match="no such file"):
        VideoReader(tmp_path / "w.mp4")


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "100%d.mp4", "-v.MP4", "a b ü 口.webm", "n" * 250 + ".mp4", "a:b"]
)
def test_any_file_name_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    check_output(Path(name), overwrite=False)
    write(Path(name), tone(0.2), 5)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (".mp4", "not a name for a video"),
        ("-", "not a name for a video"),
        (".", "not a name for a video"),
        ("n" * 300 + ".mp4", "File name too long"),
        ("plain.txt/v.mp4", "plain.txt is a file, not a folder"),
    ],
)
def test_names_that_cannot_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain.txt").write_text("mine")
    with pytest.raises(OutputError, match=says):
        check_output(Path(name), overwrite=True)


def test_a_writer_that_cannot_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("echomimic.media.video.SoundTrack", interrupted)
    with pytest.raises(KeyboardInterrupt), open_writer(tmp_path / "v.mp4", Shape(96, 64, 25, 9), tone(1)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_second_job_on_one_output_is_refused_at_its_start(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with open_writer(path, Shape(96, 64, 25, 2), None, True) as first:
        first.add(picture(0))
        with pytest.raises(OutputError, match="being written by another run"):
            write(path, None, 5)
        first.add(picture(1))
    assert len(list(VideoReader(path))) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_samples_that_are_no_numbers_become_silence(tmp_path: Path) -> None:
    wave = np.full(16000, 0.2, np.float32)
    wave[[100, 200]] = np.nan, np.inf
    data = wave.astype("<f4").tobytes()
    riff = struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE")
    floats = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 48000, 192000, 4, 32)
    head = riff + floats + struct.pack("<4sI", b"data", len(data))
    (tmp_path / "s.wav").write_bytes(head + data)
    path = write(tmp_path / "v.mp4", Speech.open(tmp_path / "s.wav"), 8)
    with av.open(str(path)) as container:
        sounds = [frame.to_ndarray() for frame in container.decode(audio=0)]
    assert all(np.isfinite(sound).all() for sound in sounds)
