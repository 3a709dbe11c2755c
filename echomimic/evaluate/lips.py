"""How well lips agree with what is heard, or with other lips:
correlation, lag, and lips that meet on m, b and p."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from echomimic.evaluate.life import whole
from echomimic.evaluate.result import Values
from echomimic.media.audio import RATE
from echomimic.motion.speech import log_mel
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.speech.mouth_model import PRESSED, mouth_model
from echomimic.motion.speech.performance_from_speech import frame_energy, mouth_track, voicing
from echomimic.motion.tracks import sample, smooth_wide
from echomimic.progress import Report, silent

LONGEST_LAG = 0.4
"""Seconds to either side within which a lag is looked for.
People notice 45 ms early, 125 ms late (ITU-R BT.1359)."""
LEAST_SPEECH = 0.8
"""Seconds of speech without which lips cannot be judged: some six syllables."""
# Steps per second at which two tracks are laid over each other.
_FINE = 200
# Seconds (sigma) of the slow drift that is taken away first: poses drift, lips do not.
_DRIFT = 0.5
# Deviation in eye distances under which a mouth does not move: a tenth of what the quietest speakers show.
_STILL = 2e-3
# How sure the ear must be of a pressed phone.
_MET = 0.5
# Vowels are counted as open above this quantile of the heard opening.
_WIDE = 0.7
# Seconds around a phone's middle in which its extreme is looked for: a frame to either side at 25 fps.
_REACH = 0.045


@dataclass(frozen=True)
class Heard:
    """The mouth that the speech asks for in each frame: opening and width (change from rest) in eye
    distances, how surely lips are pressed together (m, b, p) and how far something is said at all, 0 to 1.
    Each (F,)."""

    opening: Values
    width: Values
    pressed: Values
    voiced: Values


def hear(speech: log_mel.Sound, frames: int, fps: float, report: Report = silent) -> Heard:
    """What the shipped mouth net hears; frame i shows the moment i / fps of the speech."""
    steps = int(np.ceil(frames * FRAME_RATE / fps)) + 2
    model, level = mouth_model(), log_mel.measure(speech)
    energy = frame_energy(speech, steps, level)
    shapes, cues = model(speech, steps, level, report)
    mouth = mouth_track(model, shapes, cues, energy)
    across = (model.basis[:, 291, 0] - model.basis[:, 61, 0]).astype(np.float64)
    tracks = np.stack([mouth @ model.gap, mouth @ across, cues[:, PRESSED], voicing(energy)], 1)
    moments = np.arange(frames) / fps
    shown = sample(tracks.astype(np.float64), moments * FRAME_RATE)
    shown[moments > speech.samples / RATE, 2:] = 0
    return Heard(np.maximum(shown[:, 0], 0), shown[:, 1], shown[:, 2], shown[:, 3])


def spoken(heard: Heard, fps: float) -> slice:
    """The frames from the first to the last sound, with 0.3 s around them; none where too little is said."""
    said = np.flatnonzero(heard.voiced > 0.5)
    if len(said) < LEAST_SPEECH * fps:
        return slice(0, 0)
    margin = round(0.3 * fps)
    return slice(max(0, said[0] - margin), said[-1] + 1 + margin)


def agreement(wanted: Values, seen: Values) -> float | None:
    """Correlation of two series, −1 to 1;
    0 when the seen one stands still, None when nothing was wanted or seen."""
    a, b = whole(wanted), whole(seen)
    if a is None or b is None or len(a) < 3 or a.std() < _STILL:
        return None
    return 0.0 if b.std() < _STILL else float(np.corrcoef(a, b)[0, 1])


def find_lag(first: Values, second: Values, fps: float) -> float | None:
    """Seconds by which `second` comes after `first` where they agree best;
    None when one is still or too short."""
    a, b = whole(first), whole(second)
    if a is None or b is None or len(a) < 0.6 * fps or min(a.std(), b.std()) < _STILL:
        return None
    grid = np.arange(0, len(a) - 1, fps / _FINE)
    fine = sample(np.stack([a, b], 1), grid)
    fine -= smooth_wide(fine, _DRIFT * _FINE)
    reach = min(round(LONGEST_LAG * _FINE), len(fine) // 3)
    scores = np.array([_overlap(fine[:, 0], fine[:, 1], shift) for shift in range(-reach, reach + 1)])
    best = int(np.argmax(scores))
    return (best - reach + _between(scores, best)) / _FINE


def _overlap(first: Values, second: Values, shift: int) -> float:
    """How well `second` agrees with `first` when it is taken to be `shift` steps late."""
    count = len(first)
    a, b = first[max(0, -shift) : count - max(0, shift)], second[max(0, shift) : count - max(0, -shift)]
    scale = float(np.linalg.norm(a - a.mean()) * np.linalg.norm(b - b.mean()))
    return float((a - a.mean()) @ (b - b.mean())) / max(scale, 1e-12)


def _between(scores: Values, best: int) -> float:
    """How far the true peak lies from the best step, by a parabola through its neighbours; −0.5 to 0.5."""
    if not 0 < best < len(scores) - 1:
        return 0.0
    before, peak, after = scores[best - 1 : best + 2]
    curve = before - 2 * peak + after
    return 0.0 if curve >= 0 else float(0.5 * (before - after) / curve)


def extremes_at(
    series: Values, seconds: Sequence[float] | Values, fps: float, side: Literal["least", "most"]
) -> float | None:
    """The mean, over the moments, of the least or most within a frame of each;
    None without any moment in reach."""
    reach = max(1, round(_REACH * fps))
    pick = np.min if side == "least" else np.max
    frames = [round(moment * fps) for moment in seconds]
    found = [pick(series[max(0, i - reach) : i + reach + 1]) for i in frames if 0 <= i < len(series)]
    return float(np.mean(found)) if found else None


def closure(opening: Values, heard: Heard, fps: float) -> float | None:
    """Opening where m, b and p are heard as a share of the opening at open vowels:
    0 closes fully, 1 not at all."""
    seen = whole(opening)
    if seen is None:
        return None
    pressed = _peaks(heard.pressed, _MET) / fps
    wide = heard.opening[heard.voiced > 0.5]
    vowels = _peaks(heard.opening, float(np.quantile(wide, _WIDE))) / fps if len(wide) else np.zeros(0)
    least, most = extremes_at(seen, pressed, fps, "least"), extremes_at(seen, vowels, fps, "most")
    return None if least is None or most is None else least / max(most, 1e-6)


def _peaks(series: Values, least: float) -> Values:
    """The frames at which a series has a summit above `least`."""
    padded = np.pad(series, 1, constant_values=-np.inf)
    return np.flatnonzero((series > least) & (series > padded[:-2]) & (series >= padded[2:])).astype(
        np.float64
    )


def disagreement(opening: Values, heard: Heard, fps: float) -> Values:
    """(F,) how far the seen opening is from the heard one around each frame,
    in deviations of the heard one."""
    seen, part = whole(opening), spoken(heard, fps)
    if seen is None or heard.opening[part].size < 3 or heard.opening[part].std() < _STILL:
        return np.full(len(opening), np.nan)
    scale = float(heard.opening[part].std())
    gap = np.abs((seen - np.median(seen[part])) - (heard.opening - np.median(heard.opening[part])))
    return np.asarray(smooth_wide(gap / scale, 0.2 * fps), np.float64)
