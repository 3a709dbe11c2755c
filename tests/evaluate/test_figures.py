"""The arithmetic, against numbers worked out by hand; every one without a video."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from echomimic.errors import SettingsError
from echomimic.evaluate.batch import BatchItem, VideoRow
from echomimic.evaluate.compare import differences, interval, paired
from echomimic.evaluate.life import brow_movement, find_blinks, head_speed
from echomimic.evaluate.lips import Heard, agreement, closure, extremes_at, find_lag
from echomimic.evaluate.metrics import METRICS, Metric, metric_named
from echomimic.evaluate.net_meters import Gaussian, cosine, frechet_distance
from echomimic.evaluate.picture_meter import repeats
from echomimic.evaluate.reference import psnr, ssim
from echomimic.evaluate.require import read_requirement
from echomimic.evaluate.result import Evaluation, Figure
from echomimic.evaluate.sync_meter import mfcc, sync_figures


def talk(count: int, fps: float, shift: float = 0.0) -> np.ndarray:
    """A mouth that opens unevenly, `shift` seconds late."""
    t = np.arange(count) / fps - shift
    return 0.1 + 0.04 * np.sin(9 * t) + 0.03 * np.sin(23 * t + 1) + 0.02 * np.sin(4.1 * t)


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0])
@pytest.mark.parametrize("shift", [-0.24, -0.05, 0.0, 0.033, 0.24])
def test_a_lag_is_found_to_a_fraction_of_a_frame(shift: float, fps: float) -> None:
    found = find_lag(talk(80, fps), talk(80, fps, shift), fps)
    assert found == pytest.approx(shift, abs=0.006)


def test_agreement_and_its_edges() -> None:
    a = talk(50, 25)
    assert agreement(a, 3 * a + 1) == pytest.approx(1)
    assert agreement(a, -a) == pytest.approx(-1)
    assert agreement(a, np.full(50, 0.2)) == 0
    assert agreement(np.zeros(50), a) is None
    assert agreement(a, np.full(50, np.nan)) is None
    assert find_lag(a, np.full(50, 0.2), 25) is None


def test_closure_is_the_opening_at_presses_over_that_at_vowels() -> None:
    opening = np.full(60, 0.10)
    opening[[20, 40]] = 0.02
    opening[[10, 30]] = 0.20
    pressed, wide = np.zeros(60), np.full(60, 0.05)
    pressed[[20, 40]] = 0.9
    wide[[10, 30]] = 0.3
    heard = Heard(wide, wide, pressed, np.ones(60))
    assert closure(opening, heard, 25) == pytest.approx(0.1)
    assert closure(np.full(60, 0.1), heard, 25) == pytest.approx(1)
    assert extremes_at(opening, [0.8, 1.6], 25, "least") == pytest.approx(0.02)
    assert extremes_at(opening, [], 25, "most") is None


def test_blinks_are_counted_and_timed() -> None:
    lid = np.full(100, 0.3)
    lid[20:25] = 0.05
    lid[60:64] = 0.1
    lid[70:72] = 0.25
    lid[75:100] = 0.05  # eyes closed for a second: no blink
    found = find_blinks(lid, 25)
    assert found is not None
    assert found.count == 2
    assert found.seconds == pytest.approx(0.18)
    assert find_blinks(np.full(50, 0.02), 25) is None


def test_head_and_brows() -> None:
    still = np.zeros(50)
    assert head_speed(still, np.arange(50.0) * 0.4, still, 25) == pytest.approx(10, rel=0.05)
    assert brow_movement(0.3 + 0.02 * np.sin(np.arange(100) / 8), 25) == pytest.approx(1.4, abs=0.1)
    assert brow_movement(np.full(50, np.nan), 25) is None


def test_repeats_are_told_from_stillness() -> None:
    lively = np.array([np.nan, *[9.0, 12, 20, 15, 1.2, 30] * 4])
    assert repeats(lively).sum() == 0
    assert repeats(np.array([np.nan, 30, 0.7, 0.6, 40, 0.9, 0.5])).sum() == 4
    assert repeats(np.array([np.nan, 0, 0, 0.1])).sum() == 3


def test_psnr_and_ssim() -> None:
    a = np.random.default_rng(0).integers(0, 200, (64, 64, 3)).astype(np.uint8)
    assert psnr(a, a) == 100
    assert psnr(a, a + np.uint8(5)) == pytest.approx(10 * np.log10(255**2 / 25), abs=1e-4)
    assert ssim(a, a) == pytest.approx(1, abs=1e-7)
    soft = np.asarray(cv2.GaussianBlur(a, (0, 0), 2), np.uint8)
    assert ssim(a, soft) < 0.5
    # Wang et al.: two flat pictures differ by the luminance term alone
    b, c = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 3), 120, np.uint8)
    assert ssim(b, c) == pytest.approx((2 * 100 * 120 + 6.5025) / (100**2 + 120**2 + 6.5025), abs=1e-4)


def gaussian(rows: Iterable[Iterable[float]]) -> Gaussian:
    made = Gaussian()
    for row in rows:
        made.add(np.array([list(row)]))
    return made


def test_frechet_distance_by_hand() -> None:
    # means (0, 0) and (3, 4), covariances diag(a, b) and diag(b, a): 25 + 2 (a + b) − 2 · 2 √(a b)
    first = gaussian([(1, 0), (-1, 0), (0, 2), (0, -2), (1, 2), (-1, -2), (1, -2), (-1, 2)])
    other = gaussian(
        [(3 + y, 4 + x) for x, y in [(1, 0), (-1, 0), (0, 2), (0, -2), (1, 2), (-1, -2), (1, -2), (-1, 2)]]
    )
    a, b = np.diag(first.covariance)
    assert np.cov([[1, -1, 0, 0, 1, -1, 1, -1], [0, 0, 2, -2, 2, -2, -2, 2]]) == pytest.approx(
        first.covariance
    )
    assert frechet_distance(first, other) == pytest.approx(25 + 2 * (a + b) - 4 * np.sqrt(a * b))
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_sync_confidence_is_median_minus_least() -> None:
    sound = np.eye(8)[:, :8] * 2.0
    confidence, distance = sync_figures(np.roll(sound, -1, axis=0), sound, shifts=2)
    # at the shift of one frame seven of eight rows agree, the last meets silence
    assert distance == pytest.approx(2 / 8)
    gaps = np.sort([2 / 8, *_other_gaps()])
    assert confidence == pytest.approx(np.median(gaps) - 2 / 8)


def _other_gaps() -> list[float]:
    lips, sound = np.roll(np.eye(8) * 2.0, -1, axis=0), np.pad(np.eye(8) * 2.0, ((2, 2), (0, 0)))
    return [float(np.mean([np.linalg.norm(lips[i] - sound[i + s]) for i in range(8)])) for s in (0, 1, 2, 4)]


def test_cepstra_have_energy_first_and_tell_tones_apart() -> None:
    t = np.arange(3440) / 16000
    low, high = (mfcc((0.5 * np.sin(2 * np.pi * f * t)).astype(np.float32)) for f in (200, 3000))
    assert low.shape == (20, 13)
    assert np.abs(low[:, 1] - high[:, 1]).min() > 5
    quiet = mfcc((0.05 * np.sin(2 * np.pi * 200 * t)).astype(np.float32))
    assert low[5, 0] - quiet[5, 0] == pytest.approx(np.log(100), abs=1e-3)
    assert cosine([1, 0], [1, 1]) == pytest.approx(np.sqrt(0.5))


def evaluation(name: str, **values: float | None) -> Evaluation:
    """A result with these figures and nothing else."""
    figures = []
    for metric in METRICS:
        if metric.name in values:
            value = values[metric.name]
            note = f"needs {metric.needs}" if value is None else ""
            shown, verdict = f"{value}", metric.verdict(value)
            figures.append(
                Figure(metric.name, metric.title, metric.group, "", value, shown, "", verdict, note)
            )
    return Evaluation(name, 50, 25.0, (64, 64), tuple(figures), {}, (), (), ())


def test_requirements() -> None:
    found = evaluation("a.mp4", lag_ms=-60.0, identity=0.95, closure=None)
    assert read_requirement("lag <= 61").failure(found) == ""
    assert "it is" in read_requirement("lag<=45").failure(found)
    assert read_requirement("identity>=0.9").failure(found) == ""
    assert read_requirement("identity>0.95").failure(found) != ""
    assert "not measured" in read_requirement("closure<=1").failure(found)
    assert "not measured" in read_requirement("sync_c>=3").failure(found)
    for wrong in ("lag", "lag=3", "nonsense<=3", "lag<=x"):
        with pytest.raises(SettingsError):
            read_requirement(wrong)


def test_pairs_are_compared_with_an_interval() -> None:
    steps = np.array([0.02, 0.05, 0.03, 0.04, 0.06, 0.01])
    low, high = interval(steps)
    assert low < steps.mean() < high
    assert (low, high) == interval(steps)
    assert low >= 0.01
    assert high <= 0.06
    sets = [
        [
            VideoRow(
                BatchItem(Path(f"{s}/{i}.mp4")),
                evaluation("", identity=0.9 + g + i / 1000, lag_ms=10.0 * (-1) ** i),
            )
        ]
        for s, g in (("a", 0.0), ("b", 0.05))
        for i in range(5)
    ]
    first, second = [row for (row,) in sets[:5]], [row for (row,) in sets[5:]]
    found = {d.metric.name: d for d in differences(paired(first, second))}
    assert found["identity"].difference == pytest.approx(0.05)
    assert found["identity"].better == "B"
    assert found["lag_ms"].difference == 0
    assert found["lag_ms"].better == ""


def test_the_table_names_each_metric_once_and_judges_by_its_range() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert metric_named("lag_ms").verdict(50) == "poor"
    assert metric_named("lag_ms").verdict(-40) == "good"
    assert metric_named("identity").verdict(None) == ""
    nearer = Metric("x", "x", "", "", lambda _: 1.0, "nearer", 0.5, 2.0, target=1)
    assert nearer.distance(0.5) > nearer.distance(1.2)
    assert nearer.wanted() == "0.5 to 2"
