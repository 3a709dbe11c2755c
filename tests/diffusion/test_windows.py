"""Open windows: they cover the video, never wrap, and fade."""

import pytest

from echomimic.diffusion.windows import Window, WindowPlan, open_windows, uniform, uniform_windows


@pytest.mark.parametrize("frames", [1, 2, 11, 12, 13, 20, 21, 100, 977])
@pytest.mark.parametrize(("size", "overlap"), [(12, 3), (12, 0), (32, 10), (2, 1), (1, 0)])
@pytest.mark.parametrize("step", [0, 1, 2, 29])
def test_open_windows_cover_every_frame_and_never_join_the_ends(
    frames: int, size: int, overlap: int, step: int
) -> None:
    windows = open_windows(WindowPlan(frames, size, overlap), step)
    assert {frame for window in windows for frame in window.frames} == set(range(frames))
    for window in windows:
        assert window.frames == tuple(range(window.frames[0], window.frames[0] + min(size, frames)))
        assert min(window.weights) > 0


def test_neighbours_share_at_least_the_overlap_and_fade_across_it() -> None:
    first, second, *_ = open_windows(WindowPlan(100), 0)
    shared = [f for f in first.frames if f in second.frames]
    assert len(shared) == 3
    falling = [first.weights[first.frames.index(f)] for f in shared]
    rising = [second.weights[second.frames.index(f)] for f in shared]
    assert falling == [0.75, 0.5, 0.25]
    assert rising == [0.25, 0.5, 0.75]


def test_ends_of_the_video_have_full_weight() -> None:
    windows = open_windows(WindowPlan(40), 5)
    assert windows[0].weights[0] == windows[-1].weights[-1] == 1


def test_uniform_does_join_the_ends() -> None:
    assert any({0, 19} <= set(w.frames) for w in uniform_windows(WindowPlan(20), 0))


def test_of_a_frame_named_twice_the_later_place_counts() -> None:
    assert Window((0, 2, 4, 0, 2), (1.0,) * 5).last_places() == [2, 3, 4]


def test_defaults_are_the_official_ones() -> None:
    assert WindowPlan(40) == WindowPlan(40, size=12, overlap=3, rotation=3)
    assert uniform(0, 40, 12) == uniform(0, 40, 12, stride=1, overlap=3, closed=True)
