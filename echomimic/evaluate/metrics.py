"""The table of metrics: a metric is a name, a unit,
a good range and a small function of what was observed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from echomimic.evaluate import life, lips
from echomimic.evaluate.observe import Observed
from echomimic.evaluate.result import Figure, Values, Verdict
from echomimic.motion.tracks import gaussian

Better = Literal["higher", "lower", "nearer", ""]
"""Which of two values is better; nearer: nearer to the metric's target. Empty: neither, it is a fact."""

BLACK = 12.0
"""Mean brightness in levels under which a frame is black (video black is 0, or 16 when wrongly scaled)."""


BLINKING = 5.0
"""Seconds under which no rate of blinks is given: people blink every 2 to 6 s, a short clip may have none."""


@dataclass(frozen=True)
class Metric:
    """One row of the table. low, high: the good range (None: open).
    needs: what must be given to measure it."""

    name: str
    title: str
    group: str
    unit: str
    compute: Callable[[Observed], float | None]
    better: Better = ""
    low: float | None = None
    high: float | None = None
    target: float = 0.0
    digits: int = 2
    needs: str = "a face in the video"
    series: str = ""
    """The series in which its worst moments show."""

    def distance(self, value: float) -> float:
        """How far from best a value is; smaller is better."""
        return {"higher": -value, "lower": value, "nearer": abs(value - self.target), "": 0.0}[self.better]

    def verdict(self, value: float | None) -> Verdict:
        """Whether a value lies in the good range."""
        if value is None or (self.low is None and self.high is None):
            return ""
        below = self.low is not None and value < self.low
        above = self.high is not None and value > self.high
        return "poor" if below or above else "good"

    def wanted(self) -> str:
        """The good range, in words."""
        low, high = (None if n is None else f"{n:.10g}" for n in (self.low, self.high))
        if low is not None and high is not None:
            return f"±{high}" if self.low == -(self.high or 0) else f"{low} to {high}"
        return f"≥ {low}" if low is not None else f"≤ {high}" if high is not None else ""

    def figure(self, observed: Observed) -> Figure:
        """The metric of one video."""
        value = self.compute(observed)
        value = None if value is None or not math.isfinite(value) else float(value)
        told = (
            ""
            if value is None
            else f"{value:+.{self.digits}f}"
            if self._signed
            else f"{value:.{self.digits}f}"
        )
        note = f"needs {self.needs}" if value is None else ""
        title, wanted, verdict = self.title, self.wanted(), self.verdict(value)
        return Figure(self.name, title, self.group, self.unit, value, told, wanted, verdict, note)

    @property
    def _signed(self) -> bool:
        return self.low is not None and self.low < 0


def _opening_r(o: Observed) -> float | None:
    return _heard_r(o, "opening")


def _width_r(o: Observed) -> float | None:
    return _heard_r(o, "width")


def _heard_r(o: Observed, name: str) -> float | None:
    if o.heard is None:
        return None
    part = lips.spoken(o.heard, o.fps)
    return lips.agreement(getattr(o.heard, name)[part], o.of(name)[part])


def _lag_ms(o: Observed) -> float | None:
    if o.heard is None:
        return None
    part = lips.spoken(o.heard, o.fps)
    return _thousandths(lips.find_lag(o.heard.opening[part], o.of("opening")[part], o.fps))


def _closure(o: Observed) -> float | None:
    return None if o.heard is None else lips.closure(o.of("opening"), o.heard, o.fps)


def _mouth_motion(o: Observed) -> float | None:
    """Deviation of the seen opening over that of the heard one, while something is said."""
    if o.heard is None:
        return None
    part = lips.spoken(o.heard, o.fps)
    seen, wanted = life.whole(o.of("opening")[part]), o.heard.opening[part]
    return None if seen is None or not len(wanted) or not wanted.std() else float(seen.std() / wanted.std())


def _reference_opening_r(o: Observed) -> float | None:
    return lips.agreement(*_both(o, "opening"))


def _reference_width_r(o: Observed) -> float | None:
    return lips.agreement(*_both(o, "width"))


def _reference_lag_ms(o: Observed) -> float | None:
    return _thousandths(lips.find_lag(*_both(o, "opening"), o.fps))


def _both(o: Observed, name: str) -> tuple[Values, Values]:
    """A series of the reference and of the video, as long as both last."""
    other = o.of(f"reference_{name}")
    last = np.flatnonzero(np.isfinite(other))
    stop = int(last[-1]) + 1 if len(last) else 0
    return other[:stop], o.of(name)[:stop]


def _thousandths(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def _jitter(o: Observed) -> float | None:
    """The usual frame's: a nod now and then is no trembling."""
    known = o.of("jitter")[np.isfinite(o.of("jitter"))]
    return float(100 * np.median(known)) if len(known) else None


def _black(o: Observed) -> float | None:
    return float(100 * (o.of("luma") < BLACK).mean())


def _frozen(o: Observed) -> float | None:
    repeats = o.of("frozen")[1:]
    return float(100 * repeats.mean()) if len(repeats) else None


def _lost(o: Observed) -> float | None:
    return float(100 * (o.of("face") < 0.5).mean())


def _blink_rate(o: Observed) -> float | None:
    found = life.find_blinks(o.of("lid"), o.fps)
    return None if found is None or o.frames < BLINKING * o.fps else 60 * found.count * o.fps / o.frames


def _blink_ms(o: Observed) -> float | None:
    found = life.find_blinks(o.of("lid"), o.fps)
    return None if found is None else _thousandths(found.seconds)


def _head_speed(o: Observed) -> float | None:
    return life.head_speed(o.of("pitch"), o.of("yaw"), o.of("roll"), o.fps)


def _head_range(o: Observed) -> float | None:
    angles = [life.whole(o.of(name)) for name in ("pitch", "yaw", "roll")]
    known = [gaussian(track, 0.05 * o.fps).std() for track in angles if track is not None]
    return float(np.linalg.norm(known)) if known else None


def _brow_movement(o: Observed) -> float | None:
    return life.brow_movement(o.of("brow"), o.fps)


def _hands_variance(o: Observed) -> float | None:
    known = o.of("hands")[np.isfinite(o.of("hands"))]
    return float(known.var()) if len(known) > 1 else None


def _psnr(o: Observed) -> float | None:
    """Over the mean square error of all frames, so that one equal frame does not lift the rest."""
    known = o.of("psnr")[np.isfinite(o.of("psnr"))]
    if not len(known):
        return None
    return 100.0 if (known >= 100).all() else float(-10 * np.log10(np.mean(10 ** (-known / 10))))


def _length_gap_ms(o: Observed) -> float | None:
    return None if o.sound_seconds is None else 1000 * (o.sound_seconds - o.frames / o.fps)


def _start_gap_ms(o: Observed) -> float | None:
    return None if o.media.sound_start is None else 1000 * o.media.sound_delay


def _mean(name: str) -> Callable[[Observed], float | None]:
    return lambda o: o.mean(name)


def _teeth_sharpness(o: Observed) -> float | None:
    """The mean over the frames in which teeth show, the wider open the weightier."""
    known = np.isfinite(o.of("teeth_sharpness"))
    if not known.any():
        return None
    return float(np.average(o.of("teeth_sharpness")[known], weights=o.of("opening")[known]))


def _total(name: str) -> Callable[[Observed], float | None]:
    return lambda o: o.totals.get(name)


_LIPS, STEADY, ALIVE, _LOOK = "Lips and sound", "Steadiness", "Life", "Look against the portrait"
PERSON, _BODY, _FILE, REFERENCE = "Person", "Hands", "File", "Against the reference"
SPEECH = "speech of at least 0.8 s, and a face"
WHOLE = "a portrait (--portrait) that the video shows whole"
HANDS = "hands in the video"
OTHER = "a reference video (--reference)"

NETS = "With your weights"
NET_METRICS: tuple[Metric, ...] = (
    Metric("sync_c", "Sync-C, confidence", NETS, "", _total("sync_c"), "higher", needs="--syncnet"),
    Metric("sync_d", "Sync-D, distance", NETS, "", _total("sync_d"), "lower", needs="--syncnet"),
    Metric("csim", "CSIM", NETS, "", _mean("csim"), "higher", digits=3, needs="--csim and a portrait"),
    Metric("lpips", "LPIPS", NETS, "", _mean("lpips"), "lower", digits=3, needs="--lpips and a reference"),
    Metric("fid", "FID", NETS, "", _total("fid"), "lower", needs="--fid and a reference"),
    Metric("fvd", "FVD", NETS, "", _total("fvd"), "lower",
           needs="--fvd and a reference of 16 frames or more"),
)  # fmt: skip

METRICS: tuple[Metric, ...] = (
    Metric("lag_ms", "mouth behind the sound", _LIPS, "ms", _lag_ms, "nearer", -45, 45, digits=0,
           needs=SPEECH),
    Metric("opening_r", "opening follows the speech, r", _LIPS, "", _opening_r, "higher", 0.5, needs=SPEECH,
           series="disagreement"),
    Metric("width_r", "width follows the speech, r", _LIPS, "", _width_r, "higher", 0.3, needs=SPEECH),
    Metric("closure", "opening at m, b, p over vowels'", _LIPS, "", _closure, "lower", None, 0.5,
           needs="m, b or p in the speech, and a face"),
    Metric("mouth_motion", "mouth moves, over what is heard", _LIPS, "×", _mouth_motion, "nearer", 0.5, 2, 1,
           needs=SPEECH),
    Metric("jitter", "trembling of rigid points", STEADY, "% eyes", _jitter, "lower", None, 2,
           series="jitter"),
    Metric("flicker", "flicker where nothing moves", STEADY, "levels", _total("flicker"), "lower", None, 0.5,
           needs="a background beside the face"),
    Metric("frozen", "repeated frames", STEADY, "%", _frozen, "lower", None, 5, digits=1, series="frozen"),
    Metric("black", "black frames", STEADY, "%", _black, "lower", None, 0, digits=1, series="black"),
    Metric("lost", "frames without a face", STEADY, "%", _lost, "lower", None, 0, digits=1, series="lost"),
    Metric("blinks", "blinks", ALIVE, "/min", _blink_rate, "nearer", 4, 45, 17, digits=1,
           needs="5 s of a face"),
    Metric("blink_ms", "length of a blink", ALIVE, "ms", _blink_ms, "nearer", 80, 450, 200, digits=0,
           needs="a blink"),
    Metric("head_speed", "head turns", ALIVE, "°/s", _head_speed, "nearer", 2, 25, 8, digits=1),
    Metric("head_range", "head's range", ALIVE, "°", _head_range, "nearer", 0.7, 10, 2.5, digits=1),
    Metric("brow_movement", "brows move", ALIVE, "% eyes", _brow_movement, "nearer", 0.3, 4, 1),
    Metric("mouth_sharpness", "detail of the mouth", _LOOK, "×", _mean("mouth_sharpness"), "higher", 0.6,
           series="mouth_sharpness"),
    Metric("teeth_sharpness", "detail in the open mouth", _LOOK, "×", _teeth_sharpness, "higher", 1.2,
           needs="an open mouth"),
    Metric("colour", "colour of the skin, ΔE", _LOOK, "", _mean("colour"), "lower", None, 5, series="colour"),
    Metric("seam", "straight step at a paste-back", _LOOK, "levels", _total("seam"), "lower", None, 6,
           digits=1, needs=WHOLE),
    Metric("identity", "same person", PERSON, "", _mean("identity"), "higher", 0.9, digits=3,
           series="identity"),
    Metric("hands", "score of the hands seen", _BODY, "", _mean("hands"), "higher", 0.8, needs=HANDS),
    Metric("hands_variance", "its variance", _BODY, "", _hands_variance, "lower", None, 0.01, digits=4,
           needs=HANDS),
    Metric("length_gap_ms", "sound longer than pictures", _FILE, "ms", _length_gap_ms, "nearer", -80, 80,
           digits=0, needs="sound"),
    Metric("start_gap_ms", "sound starts after pictures", _FILE, "ms", _start_gap_ms, "nearer", -25, 25,
           digits=0, needs="a sound track in the video"),
    Metric("rate", "frame rate", _FILE, "fps", lambda o: o.fps),
    Metric("reference_lag_ms", "mouth behind the reference's", REFERENCE, "ms", _reference_lag_ms, "nearer",
           -45, 45, digits=0, needs=OTHER),
    Metric("reference_opening_r", "opening follows it, r", REFERENCE, "", _reference_opening_r, "higher", 0.8,
           needs=OTHER),
    Metric("reference_width_r", "width follows it, r", REFERENCE, "", _reference_width_r, "higher", 0.6,
           needs=OTHER),
    Metric("psnr", "PSNR", REFERENCE, "dB", _psnr, "higher", 30, digits=1, needs=OTHER, series="psnr"),
    Metric("ssim", "SSIM", REFERENCE, "", _mean("ssim"), "higher", 0.9, digits=3, needs=OTHER),
    *NET_METRICS,
)  # fmt: skip
"""Good ranges: docs/evaluate.md says where each comes from."""


def metric_named(name: str) -> Metric:
    """The metric of that name. Raises KeyError when there is none."""
    return {metric.name: metric for metric in METRICS}[name]
