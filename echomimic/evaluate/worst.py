"""Where a video is at its worst: the moments at which a series lies furthest beyond its good range."""

from __future__ import annotations

import numpy as np

from echomimic.evaluate.observe import Observed
from echomimic.evaluate.result import Values, WorstMoment
from echomimic.motion.tracks import gaussian

COUNT = 8
# Seconds between two moments that are told apart.
_APART = 0.6
# Seconds (sigma) over which a frame's value is smoothed: one frame's noise is no moment.
_SMOOTH = 0.06

RULES: tuple[tuple[str, str, float, bool], ...] = (
    ("lost", "no face", 0.5, True),
    ("black", "black", 0.5, True),
    ("frozen", "repeated", 0.9, True),
    ("disagreement", "lips against sound", 1.6, True),
    ("jitter", "trembling", 0.03, True),
    ("identity", "another person", 0.9, False),
    ("mouth_sharpness", "soft mouth", 0.55, False),
    ("colour", "colour shift", 5.0, True),
    ("psnr", "unlike the reference", 30.0, False),
)
"""Series, what it is called, the limit, and whether above it (or below) is bad. Limits: docs/evaluate.md."""


def worst_moments(observed: Observed, count: int = COUNT) -> tuple[WorstMoment, ...]:
    """Up to `count` moments, worst first; of each kind only the worst three."""
    found = [moment for rule in RULES for moment in _of_kind(observed, *rule)[:3]]
    return tuple(sorted(found, key=lambda m: (-m.severity, m.seconds))[:count])


def _of_kind(observed: Observed, name: str, title: str, limit: float, above: bool) -> list[WorstMoment]:
    values = observed.of(name)
    severity = _severity(values, limit, above, observed.fps)
    moments: list[WorstMoment] = []
    apart = max(1, round(_APART * observed.fps))
    while len(moments) < 3 and np.nanmax(severity, initial=0.0) > 1.0:
        at = int(np.nanargmax(severity))
        moments.append(WorstMoment(at / observed.fps, title, _text(name, values[at]), float(severity[at])))
        severity[max(0, at - apart) : at + apart + 1] = np.nan
    return moments


def _severity(values: Values, limit: float, above: bool, fps: float) -> Values:
    """(F,) how many times beyond the limit; above 1 is bad. NaN where nothing was measured."""
    known = np.isfinite(values)
    if known.all():
        values = gaussian(values, _SMOOTH * fps)
    ratio = values / limit if above else limit / np.maximum(values, 1e-3)
    return np.where(known, ratio, np.nan)


def _text(name: str, value: float) -> str:
    if name in ("lost", "black", "frozen"):
        return ""
    return f"{100 * value:.1f} % of the eye distance" if name == "jitter" else f"{value:.2f}"
