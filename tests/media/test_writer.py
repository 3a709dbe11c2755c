"""The writer's small promises: what is refused, when; what stands in the file; what is freed."""

import contextlib
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image

from echomimic.errors import OutputError
from echomimic.media import video
from echomimic.media.audio import Speech
from echomimic.media.container import BT709
from echomimic.media.video import (
    CONTAINERS,
    VIDEO_OPTIONS,
    Converter,
    Shape,
    VideoWriter,
    add_pictures,
    check_output,
    frame_rate,
    open_writer,
)

BLACK = np.zeros((64, 64, 3), np.uint8)


def tone(seconds: float) -> Speech:
    wave = 0.5 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * 16000)) / 16000)
    return Speech.from_array(wave.astype(np.float32), 16000)


def still_open(folder: Path) -> list[str]:
    """The unfinished files of a folder that this process holds open, removed ones too."""
    held = []
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own is closed again
            held.append(os.readlink(handle))
    return [name for name in held if name.startswith(str(folder)) and ".part." in name]


def test_a_new_name_is_taken(tmp_path: Path) -> None:
    for name in ("v.mp4", "v.WEBM", "frames"):
        check_output(tmp_path / name, overwrite=False)


@pytest.mark.parametrize("name", ["v.mp4", "v.webm"])
def test_a_folder_with_a_videos_name_is_refused_as_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match=r"is a folder; give the name of a video file"):
        check_output(tmp_path / name, overwrite=True)


@pytest.mark.parametrize("name", ["v.mp4", "frames"])
def test_a_newcomer_is_seen_before_anything_is_signed(tmp_path: Path, name: str) -> None:
    sealed: list[Path] = []
    with (
        pytest.raises(OutputError, match="appeared while rendering"),
        open_writer(tmp_path / name, Shape(64, 64, 25, 1), None, seal=sealed.append) as writer,
    ):
        writer.add(BLACK)
        (tmp_path / name).write_text("mine")
    assert sealed == []
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_newcomer_is_seen_after_signing(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"

    def seal(_: Path) -> None:
        path.write_text("mine")

    with (
        pytest.raises(OutputError, match="appeared while rendering"),
        open_writer(path, Shape(64, 64, 25, 1), None, seal=seal) as writer,
    ):
        writer.add(BLACK)
    assert path.read_text() == "mine"


def test_only_an_mp4_gets_the_mp4_options(tmp_path: Path) -> None:
    for suffix, wanted in ((".mp4", {"movflags": "+faststart+use_metadata_tags"}), (".webm", {})):
        with open_writer(tmp_path / f"v{suffix}", Shape(64, 64, 25, 1), None) as writer:
            assert isinstance(writer, VideoWriter)
            assert writer._container.container_options == wanted
            writer.add(BLACK)


def test_an_mp4_begins_with_its_index(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with open_writer(path, Shape(64, 64, 25, 2, {"AIGC": "yes"}), None) as writer:
        writer.add(BLACK)
        writer.add(BLACK)
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        assert container.metadata["AIGC"] == "yes"


def test_the_file_is_closed_before_it_is_sealed(tmp_path: Path) -> None:
    """A signature is over the whole file: nothing may be written behind it."""
    seen: list[int] = []

    def seal(part: Path) -> None:
        with av.open(str(part)) as container:
            seen.append(len(list(container.decode(video=0))))

    with open_writer(tmp_path / "v.mp4", Shape(64, 64, 25, 3), tone(0.2), seal=seal) as writer:
        for _ in range(3):
            writer.add(BLACK)
    assert seen == [3]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system does not list open files")
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_broken_run_closes_its_file(tmp_path: Path, suffix: str) -> None:
    """A loaded program that failed a thousand times must still have room on the disk."""
    with (
        pytest.raises(KeyboardInterrupt),
        open_writer(tmp_path / f"v{suffix}", Shape(64, 64, 25, 99), None) as writer,
    ):
        for _ in range(40):  # the encoder looks ahead: the first frames open no file
            writer.add(BLACK)
        assert len(still_open(tmp_path)) == 1
        raise KeyboardInterrupt
    assert still_open(tmp_path) == []


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_the_stream_is_told_its_colours_and_its_clock(tmp_path: Path, suffix: str) -> None:
    codec = CONTAINERS[suffix][0]
    with av.open(str(tmp_path / f"v{suffix}"), "w") as container:
        stream = add_pictures(container, codec, Shape(64, 64, 29.97, 1), VIDEO_OPTIONS[codec])
        context = stream.codec_context
        tags = [context.colorspace, context.color_primaries, context.color_trc, context.color_range]
        assert tags == [1, 1, 1, 1]  # BT.709 three times; 16 to 235
        assert context.time_base == Fraction(1001, 30000)
        assert (stream.width, stream.height, stream.pix_fmt) == (64, 64, "yuv420p")


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (1000 / 1001, Fraction(1000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (14.985, Fraction(15000, 1001)),
        (15 + 1 / 1000, Fraction(15001, 1000)),
        (10 + 1 / 1001, Fraction(10011, 1001)),
        (10 + 1 / 1002, Fraction(10011, 1001)),
        (25 + 1e-6, Fraction(25)),
    ],
)
def test_odd_rates_are_kept_as_near_as_players_take_them(fps: float, rate: Fraction) -> None:
    assert frame_rate(fps) == rate


def test_one_conversion_serves_a_whole_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[VideoReformatter] = []

    def make() -> VideoReformatter:
        made.append(VideoReformatter())
        return made[-1]

    monkeypatch.setattr(video, "VideoReformatter", make)
    with VideoWriter(tmp_path / "a.mp4", Shape(64, 48, 25.0, 4), None, False, False) as writer:
        for level in (0, 80, 160, 240):
            writer.add(np.full((48, 64, 3), level, np.uint8))
    assert len(made) == 1


def test_a_kept_conversion_gives_what_a_new_one_gives() -> None:
    noise = np.random.default_rng(0)
    convert = Converter(Fraction(25))
    for number in range(3):
        picture = noise.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        plain = av.VideoFrame.from_ndarray(picture, format="rgb24")
        plain = plain.reformat(format="yuv420p", dst_colorspace=BT709)
        assert np.array_equal(convert(picture, number).to_ndarray(), plain.to_ndarray())


def test_every_picture_of_a_sequence_carries_the_tags(tmp_path: Path) -> None:
    tags = {"comment": "generated", "AIGC": '{"Label":"1"}', "title": "ü 口"}
    with open_writer(tmp_path / "frames", Shape(64, 64, 25, 2, tags), None) as writer:
        writer.add(BLACK)
        writer.add(BLACK)
    for name in ("000001.png", "000002.png"):
        with Image.open(tmp_path / "frames" / name) as picture:
            assert picture.info == tags
    assert not (tmp_path / "frames" / "sound.wav").exists()


@pytest.mark.parametrize(("spoken", "kept"), [(0.4, 0.4), (0.41, 0.41), (1.0, 0.4), (0.2, 0.4)])
def test_a_sequences_sound_is_as_long_as_its_pictures(tmp_path: Path, spoken: float, kept: float) -> None:
    with open_writer(tmp_path / "frames", Shape(64, 64, 25, 10), tone(spoken)) as writer:
        for _ in range(10):
            writer.add(BLACK)
    with av.open(str(tmp_path / "frames" / "sound.wav")) as container:
        stream = container.streams.audio[0]
        parts = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate, coding = stream.rate, stream.codec_context.name
    sound = np.concatenate([part.mean(0) if part.shape[0] > 1 else part[0] for part in parts]) / 32768
    assert coding == "pcm_s16le"
    assert len(sound) / rate == pytest.approx(kept, abs=0.001)
    said = sound[: round(min(spoken, kept) * rate)]
    assert np.abs(said).max() == pytest.approx(0.5, abs=0.02)


def test_a_folder_that_holds_a_strangers_file_among_ours_is_kept(tmp_path: Path) -> None:
    (folder := tmp_path / "frames").mkdir()
    (folder / "000001.png").write_text("ours")
    check_output(folder, overwrite=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not an image sequence"):
        check_output(folder, overwrite=True)


def test_a_video_never_replaces_a_folder(tmp_path: Path) -> None:
    """Named by another's suffix, or by a link: still a folder."""
    (folder := tmp_path / "v").mkdir()
    (tmp_path / "v.mp4").symlink_to(folder)
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path / "v.mp4", overwrite=True)
