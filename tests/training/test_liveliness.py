import numpy as np

from benchmarks.liveliness import (
    blink_ms,
    blinks_a_minute,
    compared,
    each,
    nods_over_chance,
    outliers,
    widest_of,
)
from benchmarks.moving import Moving
from benchmarks.two_sample import accuracy
from echomimic.motion.tracks import gaussian


def mover(number: int, size: float = 1.0, smooth: float = 3.0, frames: int = 400) -> Moving:
    rng = np.random.default_rng(number)
    track = size * 0.2 * gaussian(rng.standard_normal((frames, 7)), smooth)
    loud = np.clip(gaussian(rng.standard_normal(frames), 3.0) * 2 + 0.5, 0, 1)
    lid = np.ones(frames)
    lid[50:55] = lid[200:205] = 0.1
    return Moving(f"clip {number}", f"person {number}", track, lid, loud)


PEOPLE = [mover(i) for i in range(12)]


def test_those_who_move_alike_are_not_told_apart_and_others_are() -> None:
    alike = accuracy(PEOPLE, [mover(i) for i in range(100, 112)])
    slower = accuracy(PEOPLE, [mover(i, smooth=4.0) for i in range(100, 112)])
    assert alike is not None
    assert slower is not None
    assert alike < 0.65
    assert slower > 0.9
    assert accuracy(PEOPLE[:1], PEOPLE[1:2]) is None


def test_spread_and_speed_are_ratios_of_those_of_the_same_name() -> None:
    rows = {row.name: row.values[0] for row in compared(PEOPLE, [[mover(i, 0.5) for i in range(3)]])}
    assert rows["spread of width, generated : recorded"] == 0.5
    assert rows["speed of roll, generated : recorded"] == 0.5
    assert rows["99th percentile of the opening"] == 0.5


def test_nods_at_stresses_are_more_than_chance_only_where_they_are() -> None:
    nodding = []
    for person in PEOPLE:
        track = person.track.copy()
        track[:, 4] = person.energy
        nodding.append(Moving(person.name, person.person, track, person.lid, person.energy))
    planted, free = nods_over_chance(nodding), nods_over_chance(PEOPLE)
    assert planted is not None
    assert free is not None
    assert planted > 1.5
    assert 0.8 < free < 1.2


def test_blinks_and_outliers_are_counted() -> None:
    assert blinks_a_minute(PEOPLE) == 2 * 60 / 16
    assert blink_ms(PEOPLE) == 200
    limits = widest_of(PEOPLE)
    assert outliers(PEOPLE, limits) < 0.02 < outliers([mover(50, 4.0)], limits)


def test_videos_without_sound_are_measured_too() -> None:
    silent = [Moving("a", "a", PEOPLE[0].track, PEOPLE[0].lid)]
    rows = {row.name: row.values[0] for row in each([silent])}
    assert rows["nods at stresses over chance"] is None
    assert rows["spread of yaw"] == PEOPLE[0].track[:, 5].std()
