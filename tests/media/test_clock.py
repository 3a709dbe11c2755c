"""Time in media files: picture and sound lie where the file says, in every container, at every rate."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomimic.media.audio import Speech
from echomimic.media.clock import LONGEST_HOLE, Clock, Slots, base_rate
from echomimic.media.video_reader import VideoReader, _fitted
from tests.media.films import number_of, numbered, onsets, shown, turn, write_film

CONTAINERS = ("mp4", "mkv", "webm", "mov", "ts", "avi")
TIMED = ("mp4", "mkv", "webm", "mov", "ts")
NTSC = 30000 / 1001


def steady(count: int, rate: float, start: float = 0.0) -> list[float]:
    return [start + i / rate for i in range(count)]


@pytest.mark.parametrize("rate", [24, 25, NTSC, 50])
@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_steady_film_is_read_frame_by_frame(tmp_path: Path, kind: str, rate: float) -> None:
    path = write_film(tmp_path / f"v.{kind}", steady(20, rate), [(0.0, 20 / rate)], rate=rate)
    reader = VideoReader(path)
    assert reader.fps == pytest.approx(rate, rel=1e-4)
    assert shown(path)[-20:] == list(range(20))
    assert len(shown(path)) <= 21  # the priming of AAC in a TS is a whole frame at 50 fps, and heard as well
    assert reader.frames == 20
    speech = Speech.open(path)
    assert abs(onsets(speech)[0]) < 0.045  # a frame; codecs have a priming of up to 21 ms
    assert speech.notes == ()


@pytest.mark.parametrize("late", [0.8, 1.96])
@pytest.mark.parametrize("kind", TIMED)
def test_late_sound_is_silence_at_the_start(tmp_path: Path, kind: str, late: float) -> None:
    path = write_film(tmp_path / f"v.{kind}", steady(60, 25), [(late, 0.4)])
    speech = Speech.open(path)
    assert onsets(speech) == [pytest.approx(late, abs=0.04)]
    assert abs(speech.seconds - late - 0.4) < 0.06
    assert (speech.read(0, round((late - 0.05) * 16000)) == 0).all()
    assert len(shown(path)) == 60
    assert any("begins" in note and "silent" in note for note in speech.notes)


@pytest.mark.parametrize("kind", TIMED)
def test_late_picture_stands_until_it_moves(tmp_path: Path, kind: str) -> None:
    path = write_film(tmp_path / f"v.{kind}", steady(20, 25, 0.8), [(0.0, 1.6)])
    seen = shown(path)
    assert abs(len(seen) - 40) <= 1
    assert abs(seen.index(1) - 21) <= 1
    assert seen[-19:] == list(range(1, 20))
    assert onsets(Speech.open(path))[0] < 0.045


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "mov", "ts"])
@pytest.mark.parametrize("hole", [0.5, 3.0])
def test_holes_in_the_sound_keep_their_length(tmp_path: Path, kind: str, hole: float) -> None:
    path = write_film(tmp_path / f"v.{kind}", steady(50, 25), [(0.0, 0.5), (0.5 + hole, 0.5)])
    speech = Speech.open(path)
    assert onsets(speech)[-1] == pytest.approx(0.5 + hole, abs=0.04)
    assert speech.seconds == pytest.approx(1.0 + hole, abs=0.06)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov", "ts"])
@pytest.mark.parametrize("start", [3.0, 100.0])
def test_a_film_that_does_not_start_at_zero(tmp_path: Path, kind: str, start: float) -> None:
    path = write_film(tmp_path / f"v.{kind}", steady(20, 25, start), [(start, 0.8)])
    assert shown(path) == list(range(20))
    speech = Speech.open(path)
    assert onsets(speech)[0] < 0.045
    assert speech.seconds == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "mov"])
@pytest.mark.parametrize("bframes", [0, 2])
def test_a_gap_is_filled_with_the_frame_before_it(tmp_path: Path, kind: str, bframes: int) -> None:
    moments = [*steady(10, 25), *steady(10, 25, 1.0), 2.0]
    path = write_film(tmp_path / f"v.{kind}", moments, options={"bf": str(bframes)} if kind != "webm" else {})
    seen = shown(path)
    assert seen[:10] == list(range(10))
    assert set(seen[10:25]) == {9}
    assert seen[25:35] == list(range(10, 20))
    assert set(seen[35:50]) == {19}
    assert seen[50] == 20


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_recorder_that_writes_nothing_while_nothing_moves(tmp_path: Path, kind: str) -> None:
    path = write_film(tmp_path / f"v.{kind}", [*steady(50, 25), *steady(25, 25, 17.0)])
    reader = VideoReader(path)
    assert reader.fps == pytest.approx(25)
    seen = shown(path)
    assert seen[:50] == list(range(50))
    assert seen[425:450] == list(range(50, 75))
    assert abs(reader.frames - 450) <= 1


def test_the_last_hold_is_kept(tmp_path: Path) -> None:
    path = write_film(tmp_path / "v.mp4", steady(10, 25), last=2.0, options={"bf": "0"})
    seen = shown(path)
    assert seen[:10] == list(range(10))
    assert set(seen[10:]) == {9}
    assert abs(len(seen) - 59) <= 1


def test_stamps_that_are_missing_follow_each_other(tmp_path: Path) -> None:
    path = write_film(tmp_path / "v.h264", steady(20, 25), options={"bf": "0"})
    assert shown(path) == list(range(20))


def test_joined_films_go_on(tmp_path: Path) -> None:
    one = write_film(tmp_path / "a.ts", steady(20, 25), [(0.0, 0.8)]).read_bytes()
    (tmp_path / "ab.ts").write_bytes(one + one)
    seen = shown(tmp_path / "ab.ts")
    assert abs(len(seen) - 40) <= 2
    assert seen[-1] == 19
    assert Speech.open(tmp_path / "ab.ts").seconds == pytest.approx(1.6, abs=0.1)


@pytest.mark.parametrize("rate", [48000, 24000])
def test_joined_films_keep_picture_and_sound_together(tmp_path: Path, rate: int) -> None:
    """The sound of each ends before its picture does; the second one's has another rate."""
    one = write_film(tmp_path / "a.ts", steady(40, 25), [(0.0, 0.4), (0.8, 0.4)])
    two = write_film(tmp_path / "b.ts", steady(30, 25, 0.2), [(0.0, 0.3), (0.9, 0.3)], sound_rate=rate)
    (tmp_path / "ab.ts").write_bytes(one.read_bytes() + two.read_bytes())
    reader = VideoReader(tmp_path / "ab.ts")
    assert reader.fps == pytest.approx(25)
    assert abs(reader.frames - 70) <= 1
    seen = shown(tmp_path / "ab.ts")
    assert seen[:40] == list(range(40))
    assert abs(seen.index(1, 40) - 46) <= 1  # 1.6 s, 0.2 s and one frame
    priming = 1024 / 48000 + 2 * 1024 / rate  # heard in a TS; and tones begin within blocks
    speech = Speech.open(tmp_path / "ab.ts")
    assert onsets(speech) == pytest.approx([0, 0.8, 1.6, 2.5], abs=priming + 0.003)
    loud = np.abs(speech.read(round(1.5 * 16000), 32800)) > 0.05
    assert loud.sum() / 16000 == pytest.approx(0.3, abs=0.05)  # nothing of a tone is cut away


@pytest.mark.parametrize("bframes", [0, 1, 3])
def test_pictures_that_have_coding_times_only_are_seen_in_order(tmp_path: Path, bframes: int) -> None:
    path = write_film(
        tmp_path / "v.avi",
        steady(60, 25),
        [(0.0, 2.4)],
        codec="libx264",
        options={"bf": str(bframes), "b-pyramid": "normal", "x264-params": "b-adapt=0"},
    )
    assert shown(path)[-60:] == list(range(60))
    assert len(shown(path)) <= 61
    assert [number_of(p) for p in VideoReader(path).at([0.5, 2.0]) if p is not None] == pytest.approx(
        [12, 50], abs=1
    )


@pytest.mark.parametrize(("aspect", "size"), [((1, 2), (128, 128)), ((2, 1), (256, 64))])
def test_a_film_that_changes_its_proportions_keeps_them(
    tmp_path: Path, aspect: tuple[int, int], size: tuple[int, int]
) -> None:
    """What comes later is fitted into what came first, not squeezed: a face would become another's."""
    film = write_film(tmp_path / "a.mp4", steady(2, 25), aspect=Fraction(*aspect))
    later = list(VideoReader(film))[1]
    reader = VideoReader(write_film(tmp_path / "b.mp4", steady(2, 25)))
    assert (later.shape[1], later.shape[0]) == size
    assert reader.size == (128, 64)
    fitted = _fitted(later, *reader.size)
    seen = np.argwhere(fitted.max(2) > 12)
    height, width = seen.max(0) - seen.min(0) + 1
    assert (height, width) == pytest.approx(min(128 / size[0], 64 / size[1]) * np.array(size)[::-1], abs=1)
    assert number_of(later) == 1


def test_a_film_of_two_sizes_is_read_at_the_first(tmp_path: Path) -> None:
    one = write_film(tmp_path / "a.ts", steady(20, 25))
    two = write_film(tmp_path / "b.ts", steady(20, 25), shape=(64, 64))
    (tmp_path / "ab.ts").write_bytes(one.read_bytes() + two.read_bytes())
    frames = list(VideoReader(tmp_path / "ab.ts"))
    assert {frame.shape for frame in frames} == {(64, 128, 3)}
    assert len(frames) == 40
    assert [number_of(frame) for frame in frames[:20]] == list(range(20))
    assert all((frame[:, :28] < 12).all() and (frame[:, 100:] < 12).all() for frame in frames[-19:])
    assert frames[-1][:, 34:94].max() > 150


def test_low_rates_with_pictures_coded_far_ahead_are_one_recording(tmp_path: Path) -> None:
    options = {"bf": "6", "x264-params": "b-adapt=0"}
    path = write_film(tmp_path / "v.ts", steady(30, 5), rate=5, options=options)
    assert shown(path) == list(range(30))
    assert VideoReader(path).frames == 30


@pytest.mark.parametrize(
    ("aspect", "size"), [((8, 11), (128, 88)), ((1, 2), (128, 128)), ((2, 1), (256, 64))]
)
def test_pixels_become_square(tmp_path: Path, aspect: tuple[int, int], size: tuple[int, int]) -> None:
    reader = VideoReader(write_film(tmp_path / "v.mp4", steady(4, 25), aspect=Fraction(*aspect)))
    assert reader.size == size
    assert next(iter(reader)).shape[:2] == size[::-1]
    assert "made square" in reader.notes[0]
    assert number_of(list(reader)[3]) == 3


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),  # a phone held upright: a quarter clockwise
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),  # a selfie camera
        ((0, 1, 1, 0), lambda p: np.swapaxes(p, 0, 1)),
    ],
)
def test_films_are_turned_as_their_matrix_says(
    tmp_path: Path, matrix: tuple[int, int, int, int], turned: Callable[[np.ndarray], np.ndarray]
) -> None:
    path = write_film(tmp_path / "v.mp4", steady(2, 25))
    picture = turned(list(VideoReader(path))[1])
    reader = VideoReader(turn(path, matrix, tmp_path / "t.mp4"))
    assert reader.size == (picture.shape[1], picture.shape[0])
    assert (list(reader)[1] == picture).all()


@pytest.mark.skipif(not hasattr(av.VideoFrame, "rotation"), reason="this PyAV tells no angle")
@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (1, 0, 0, 1)])
def test_a_film_without_its_matrix_is_turned_by_its_angle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matrix: tuple[int, int, int, int]
) -> None:
    """Where PyAV hands out no matrix it still tells the angle."""
    path = turn(write_film(tmp_path / "v.mp4", steady(2, 25)), matrix, tmp_path / "t.mp4")
    wanted = list(VideoReader(path))[1]
    monkeypatch.setattr("echomimic.media.video_reader._matrix", lambda _: None)
    assert (list(VideoReader(path))[1] == wanted).all()


MULTIPLES = st.lists(st.sampled_from([1, 1, 1, 2, 3, 7, 40]), min_size=3, max_size=60).map(
    lambda gaps: [1, 1, *gaps, 1]
)


@settings(max_examples=60, deadline=None)
@given(
    gaps=MULTIPLES,
    rate=st.sampled_from([12.5, 24.0, 25.0, NTSC, 50.0, 60.0]),
    tick=st.sampled_from([1000, 90000]),
)
def test_a_frame_is_shown_from_its_own_time_until_the_next(gaps: list[int], rate: float, tick: int) -> None:
    slots = np.concatenate([[0], np.cumsum(gaps)])
    stamps = [Fraction(round(slot / rate * tick), tick) for slot in slots]
    assert base_rate([float(s) for s in stamps], [rate, 90000.0]) == pytest.approx(rate)
    row = Slots(rate)
    assert [row.begin(stamp) for stamp in stamps] == list(slots)


def test_frames_half_a_slot_off_do_not_fall_together() -> None:
    """As in a GIF whose first pictures stay for 0.1 s."""
    stamps = [Fraction(ticks, 100) for ticks in (0, 10, 14, 18, 58, 62)]
    rate = base_rate([float(stamp) for stamp in stamps], [49 / 12, 25.0])
    assert rate == pytest.approx(25)
    row = Slots(rate)
    assert [row.begin(stamp) for stamp in stamps] == [0, 3, 4, 5, 15, 16]


@settings(max_examples=60, deadline=None)
@given(
    zero=st.integers(-50, 50),
    pieces=st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=40),
)
def test_the_clock_believes_stamps_and_bridges_what_has_none(
    zero: int, pieces: list[tuple[int, bool]]
) -> None:
    clock, now = Clock(Fraction(zero)), Fraction(0)
    for hole, stamped in pieces:
        at = now + Fraction(hole) if stamped else now
        assert clock.place(at + zero if stamped else None, Fraction(1, 25)) == at
        now = at + Fraction(1, 25)


@pytest.mark.parametrize("jump", [LONGEST_HOLE + 1, -5])
def test_a_broken_clock_just_goes_on(jump: int) -> None:
    clock = Clock(Fraction(0))
    clock.place(Fraction(0), Fraction(10))
    assert clock.place(Fraction(10 + jump), Fraction(1)) == 10
    assert clock.place(Fraction(11 + jump), Fraction(1)) == 11


@pytest.mark.parametrize(
    ("stamps", "declared", "rate"),
    [
        ([], [], 25.0),
        ([0.0], [30.0], 30.0),
        ([i / 30 + 0.003 * (i % 3) for i in range(90)], [29.98], 29.98),  # a phone's jitter
        (
            [0.0, 1 / 60, 4 / 60, 5 / 60, 8 / 60, 9 / 60, 12 / 60],
            [40.0, 60.0],
            60.0,
        ),  # a screen that mostly rests
        ([i * 0.0001 for i in range(50)], [10000.0], 240.0),
        ([i * 60.0 for i in range(5)], [1 / 60], 1.0),
    ],
)
def test_base_rate(stamps: list[float], declared: list[float], rate: float) -> None:
    assert base_rate(stamps, declared) == pytest.approx(rate, rel=1e-3)


def test_a_number_survives_its_own_drawing() -> None:
    assert [number_of(numbered(n)) for n in (0, 1, 37, 200, 255)] == [0, 1, 37, 200, 255]
