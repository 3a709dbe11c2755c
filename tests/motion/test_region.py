"""Edits of a stretch of a performance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echomimic.errors import SettingsError
from echomimic.motion.performance import Performance
from echomimic.motion.region import TRACKS, Edit, apply_edits, frame_keys, read_edits, spans_of

FRAMES, FPS = 100, 25.0


def acted(seed: int = 0, coefficients: int = 4) -> Performance:
    """Every track moves, no two frames are alike."""
    draw = np.random.default_rng(seed)

    def track(*shape: int) -> np.ndarray:
        return draw.uniform(0.05, 0.2, shape).astype(np.float32)

    return Performance(
        fps=FPS,
        expression=track(FRAMES, coefficients),
        basis=track(coefficients, 468, 3),
        rotation=track(FRAMES, 3),
        translation=track(FRAMES, 2),
        blink=track(FRAMES, 2),
        gaze=track(FRAMES, 2),
        brow=track(FRAMES),
        body=track(FRAMES, 2),
    )


def none(name: str) -> Performance:
    raise AssertionError(name)


def test_a_gain_of_nothing_is_reached_and_left_softly() -> None:
    before = acted()
    after = apply_edits(before, [Edit("gain", 1.0, 2.0, "head", amount=0.0)], none)
    share = after.rotation[:, 0] / before.rotation[:, 0]
    assert (share[:25] == 1).all()
    assert (share[50:] == 1).all()
    assert share[30:45] == pytest.approx(0, abs=1e-6)
    assert 0 < share[25] < 1
    assert np.abs(np.diff(share)).max() < 0.45
    assert (after.expression == before.expression).all()
    assert (before.rotation > 0).all(), "the first performance is left as it was"


@pytest.mark.parametrize("op", ["gain", "smooth", "mute", "mirror", "replace"])
@pytest.mark.parametrize("track", [*TRACKS, "all"])
def test_frames_and_tracks_outside_keep_their_bits(op: str, track: str) -> None:
    before, other = acted(), acted(1, 6)
    edit = Edit(op, 1.0, 2.0, track, amount=2.0, source="other")  # type: ignore[arg-type]
    after = apply_edits(before, [edit], lambda _: other)
    keys, fresh = frame_keys(before), frame_keys(after)
    assert (keys[:25] == fresh[:25]).all()
    assert (keys[50:] == fresh[50:]).all()
    moved = {
        name
        for name, group in TRACKS.items()
        for field in group
        if getattr(after, field).shape != getattr(before, field).shape
        or (getattr(after, field) != getattr(before, field)).any()
    }
    assert moved <= (set(TRACKS) if track == "all" else {track})
    if not (op == "mirror" and track == "brows"):
        assert (keys[26:49] != fresh[26:49]).all()
        assert moved


def test_a_mirrored_mouth_is_the_mirror_and_twice_is_none() -> None:
    from echomimic.faces.geometry import mesh_mirror

    before = acted()
    once = apply_edits(before, [Edit("mirror", 0, 4, "mouth")], none)
    expected = before.displacement(50)[mesh_mirror()] * np.array([-1, 1, 1])
    assert once.displacement(50) == pytest.approx(expected, abs=1e-5)
    twice = apply_edits(once, [Edit("mirror", 0, 4, "mouth")], none)
    assert twice.displacement(50) == pytest.approx(before.displacement(50), abs=1e-5)


def test_what_is_borrowed_is_the_others_own() -> None:
    before, other = acted(), acted(1, 6)
    after = apply_edits(before, [Edit("replace", 1, 2, "all", source="x", offset=2.0)], lambda _: other)
    assert after.rotation[37] == pytest.approx(other.rotation[62], abs=1e-6)
    assert after.displacement(37) == pytest.approx(other.displacement(62), abs=1e-5)
    late = apply_edits(before, [Edit("replace", 1, 2, "head", source="x", offset=3.9)], lambda _: other)
    assert np.isfinite(late.rotation).all()
    there_and_back = (other.rotation[88] + other.rotation[89]) / 2  # 97.5 + 12 frames, seen from the end
    assert late.rotation[37] == pytest.approx(there_and_back, abs=1e-5)


def test_a_blink_closes_in_the_middle_and_opens() -> None:
    after = apply_edits(acted(), [Edit("blink", 1, 1.36, eyes="left")], none)
    assert after.blink[29, 0] == pytest.approx(1, abs=0.01)
    assert after.blink[24:26, 0].max() < 0.25
    assert (after.blink[:, 1] == acted().blink[:, 1]).all()


@given(st.integers(0, 5), st.floats(0, 3), st.floats(0.05, 1))
def test_keys_say_what_changed(seed: int, start: float, length: float) -> None:
    before = acted(seed)
    after = apply_edits(before, [Edit("mute", start, start + length)], none)
    changed = frame_keys(before) != frame_keys(after)
    spans = spans_of(changed)
    inside = np.zeros(FRAMES, bool)
    for first, last in spans:
        inside[first:last] = True
    assert (inside == changed).all()
    assert len(spans) <= 1


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (3, "list"),
        ("gain", "list"),
        ([3], "edit 0"),
        ([{"op": "gain"}], "edit 0"),
        ([{"op": "x", "start": 0, "stop": 1}], "op 'x'"),
        ([{"op": "gain", "start": 1, "stop": 1}], "no length"),
        ([{"op": "gain", "start": -1, "stop": 1}], "start"),
        ([{"op": "gain", "start": 0, "stop": 1, "amount": 4}], "amount"),
        ([{"op": "blink", "start": 0, "stop": 1, "amount": 2}], "amount"),
        ([{"op": "gain", "start": 0, "stop": float("nan")}], "stop"),
        ([{"op": "gain", "start": 0, "stop": True}], "stop"),
        ([{"op": "gain", "start": 0, "stop": 1, "path": "/"}], "unknown 'path'"),
        ([{"op": "replace", "start": 0, "stop": 1}], "source"),
        ([{"op": "gain", "start": 0, "stop": 1, "track": ["a"]}], "track"),
    ],
)
def test_wrong_edits_are_named(values: object, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read_edits(values)
