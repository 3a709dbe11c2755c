"""Videos whose frames can be replaced in part."""

from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from echomimic.errors import OutputError
from echomimic.media.audio import RATE, Speech
from echomimic.media.editable import RUN, EditableWriter, replace_frames, widened
from echomimic.media.video import Shape, VideoWriter
from echomimic.media.video_reader import VideoReader

FRAMES, SIDE = 60, 64
SHAPE = Shape(SIDE, SIDE, 25.0, FRAMES, {"comment": "a comment"})


def picture(i: int, change: int = 0) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.stack([rows * 3 + i, columns * 3 + change, rows + columns + 2 * i], -1).astype(np.uint8)


@pytest.fixture
def speech() -> Speech:
    return Speech.from_array(np.sin(np.arange(round(FRAMES / 25 * RATE)) / 20) * 0.3, RATE)


@pytest.fixture
def video(tmp_path: Path, speech: Speech) -> Path:
    path = tmp_path / "video.mp4"
    with EditableWriter(path, SHAPE, speech, tmp_path / "playing.mp4") as writer:
        for i in range(FRAMES):
            writer.add(picture(i))
    return path


def frames(path: Path) -> list[bytes]:
    return [frame.tobytes() for frame in VideoReader(path)]


def sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_only_the_frames_that_were_asked_for_change(video: Path) -> None:
    before, heard = frames(video), sound(video)
    assert len(before) == FRAMES
    drawn: list[int] = []

    def draw(part: range) -> list[np.ndarray]:
        drawn.extend(part)
        return [picture(i, 90) for i in part]

    spans = replace_frames(video, SHAPE, [(20, 30), (50, 51)], draw)
    after = frames(video)
    assert spans == [(20, 36), (50, 60)]
    assert [i for i in range(FRAMES) if before[i] != after[i]] == drawn
    assert sound(video) == heard
    shown = np.frombuffer(after[25], np.uint8).reshape(SIDE, SIDE, 3).astype(int)
    assert np.abs(shown - picture(25, 90)).mean() < 12
    with av.open(str(video)) as container:
        assert container.metadata["comment"] == "a comment"


@pytest.mark.slow
def test_it_can_be_done_again_and_again(video: Path) -> None:
    draw_on = np.random.default_rng(1)
    shown = [0] * FRAMES
    for round_ in range(1, 8):
        first = int(draw_on.integers(0, FRAMES - 1))
        last = int(draw_on.integers(first + 1, FRAMES + 1))
        before = frames(video)
        drawn = {i: picture(i, 20 * round_) for i in range(FRAMES)}
        spans = replace_frames(video, SHAPE, [(first, last)], partial(map, drawn.__getitem__))
        inside = {i for a, b in spans for i in range(a, b)}
        assert {i for i, (a, b) in enumerate(zip(before, frames(video), strict=True)) if a != b} <= inside
        assert len(inside) <= last - first + RUN
        for i in inside:
            shown[i] = 20 * round_
    for i, frame in enumerate(VideoReader(video)):
        assert np.abs(frame.astype(int) - picture(i, shown[i]))[4:-4, 4:-4].mean() < 20, i


def test_it_is_as_long_as_its_frames_and_begins_with_its_sound(
    video: Path, tmp_path: Path, speech: Speech
) -> None:
    plain = tmp_path / "plain.mp4"
    with VideoWriter(plain, SHAPE, speech, False, ours=False) as writer:
        for i in range(FRAMES):
            writer.add(picture(i))
    with av.open(str(video)) as one, av.open(str(plain)) as other:
        for mine, theirs in zip(one.streams, other.streams, strict=True):
            assert (mine.type, mine.start_time) == (theirs.type, theirs.start_time)
            assert float(mine.duration * mine.time_base) == pytest.approx(
                float(theirs.duration * theirs.time_base), abs=0.011
            )
    a, b = Speech.open(video), Speech.open(plain)
    assert np.abs(a.read(0, 30000) - b.read(0, 30000)).max() < 0.02


def test_it_can_be_played_while_it_grows(tmp_path: Path, speech: Speech) -> None:
    playing = tmp_path / "playing.mp4"
    with EditableWriter(tmp_path / "video.mp4", SHAPE, speech, playing) as writer:
        seen = []
        for i in range(FRAMES):
            writer.add(picture(i))
            if i % RUN == RUN - 1 and playing.stat().st_size:
                (tmp_path / "copy.mp4").write_bytes(playing.read_bytes())
                with av.open(str(tmp_path / "copy.mp4")) as container:
                    seen.append(sum(1 for _ in container.decode(video=0)))
    assert seen == sorted(seen)
    assert 0 < seen[0] < FRAMES
    assert len(seen) >= 3


def test_what_breaks_off_leaves_nothing(tmp_path: Path, speech: Speech) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        EditableWriter(tmp_path / "video.mp4", SHAPE, speech, tmp_path / "playing.mp4") as writer,
    ):
        for i in range(30):
            writer.add(picture(i))
        assert (tmp_path / "playing.mp4").is_file()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_changed_says_so_and_stays(video: Path, tmp_path: Path) -> None:
    data = video.read_bytes()
    longer = Shape(SIDE, SIDE, 25.0, FRAMES + 1)
    with pytest.raises(OutputError, match="as a whole"):
        replace_frames(video, longer, [(0, 5)], lambda part: [picture(i) for i in part])

    def fails(part: range) -> list[np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_frames(video, SHAPE, [(0, 5)], fails)
    assert video.read_bytes() == data
    assert sorted(p.name for p in tmp_path.iterdir()) == ["playing.mp4", "video.mp4"]


def test_spans_reach_to_the_end_of_their_run() -> None:
    keys = [0, 12, 24, 36]
    assert widened([(3, 5)], keys, 40) == [(3, 12)]
    assert widened([(13, 14)], keys, 40) == [(12, 24)], "a run of one frame is not left behind"
    assert widened([(3, 5), (20, 25)], keys, 40) == [(3, 12), (20, 36)]
    assert widened([(3, 13), (14, 20)], keys, 40) == [(3, 24)]
    assert widened([(37, 40)], keys, 40) == [(36, 40)]
