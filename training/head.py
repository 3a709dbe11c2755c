"""Fit the head's random process to recorded heads: `python -m training.head --data talking_motion.npz -o FOLDER`.

Seconds on one core. Only the fitted numbers are written (head.safetensors), no trajectories.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from echomimic.motion.speech.head_model import CONTROL_RATE, HeadModel, drives, head_track
from echomimic.motion.speech.log_mel import FRAME_RATE, activity
from echomimic.motion.tracks import smooth_wide
from training.data import MEL_PER_FRAME, Clip, clip_level, load

Double = npt.NDArray[np.float64]

ORDER = 4
STEP = round(FRAME_RATE / CONTROL_RATE)
SHORTEST = 100
BROWS = np.array([70, 63, 105, 66, 107, 300, 293, 334, 296, 336, 52, 53, 65, 282, 283, 295])
EYE_WIDTH = 0.29
"""Width of an eye in outer eye distances; the recordings' iris shift is in eye widths."""


def head_channels(clip: Clip) -> Double:
    """(F, 6) pitch, yaw, roll, x, y, brow about the clip's mean, tracker noise smoothed away."""
    turn = clip.rotation.astype(np.float64)
    pitch = np.arcsin(np.clip(-turn[:, 1, 2], -1, 1))
    yaw = np.arctan2(turn[:, 0, 2], turn[:, 2, 2])
    roll = np.arctan2(-turn[:, 1, 0], turn[:, 0, 0])
    brow = clip.shape[:, BROWS, 1].mean(1) - clip.shape[:, [6, 197, 195], 1].mean(1)
    track = np.column_stack([pitch, yaw, roll, clip.centre, brow])
    return smooth_wide(track - track.mean(0), 1.3)


def clip_energy(clip: Clip) -> Double:
    """(F,) loudness 0 to 1, as the generator hears it."""
    energy = activity(clip.mel, clip_level(clip.mel)).reshape(-1, MEL_PER_FRAME).mean(1)
    return np.asarray(energy, dtype=np.float64)


def fit_process(clips: list[Clip], strength: Double) -> tuple[Double, Double, Double, Double]:
    """Least squares for memory and drive, then the noise's shape and its growth with energy."""
    past, drive, now, loud = [], [], [], []
    for clip in clips:
        track = head_channels(clip)
        track = track / (track.std(0) + 0.25 * strength) * strength
        energy = smooth_wide(clip_energy(clip), 1.0)
        for phase in range(STEP):
            states, level = track[phase::STEP], energy[phase::STEP]
            index = np.arange(ORDER, len(states))
            past.append(np.concatenate([states[index - lag] for lag in range(1, ORDER + 1)], 1))
            drive.append(drives(level)[index] - drives(level).mean(0))
            now.append(states[index])
            loud.append(level[index])
    inputs, target = np.concatenate([np.concatenate(past), np.concatenate(drive)], 1), np.concatenate(now)
    ridge = np.diag(1e-4 * (inputs**2).sum(0))
    weights = np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ target)
    rest = target - inputs @ weights
    memory = np.stack([block.T for block in np.split(weights[: ORDER * 6], ORDER)])
    noise = np.linalg.cholesky(np.cov(rest.T))
    return memory, weights[ORDER * 6 :], noise, fit_unrest(rest, np.concatenate(loud))


def fit_unrest(rest: Double, energy: Double) -> Double:
    """(2,) log size of the noise in silence and its slope over energy; mean square 1 over the recordings."""
    size = np.log(np.sqrt(((rest / rest.std(0)) ** 2).mean(1)) + 1e-3)
    slope = np.polyfit(energy, size, 1)[0]
    return np.array([-0.5 * np.log(np.mean(np.exp(2 * slope * energy))), slope])


def fit_gain(model: HeadModel, clips: list[Clip], strength: Double) -> HeadModel:
    """Scale noise and drive so that simulated heads move as much as the median person over the same sound."""
    rng = np.random.default_rng(0)
    energies = [clip_energy(clip) for clip in clips]
    for _ in range(4):
        runs = np.concatenate([head_track(model, energy, rng)[25:] for energy in energies for _ in range(4)])
        gain = strength / runs.std(0)
        model = HeadModel(
            model.memory * gain[None, :, None] / gain[None, None, :],
            model.drive * gain,
            model.noise * gain[:, None],
            model.unrest,
            model.blink,
            model.glance,
        )
    return model


def blink_moments(track: Double) -> list[int]:
    """Frames at which the eye is most closed in a blink."""
    shut, moments, i = track < 0.5, [], 0
    while i < len(track):
        if not shut[i]:
            i += 1
            continue
        stop = i + int(np.argmax(np.append(track[i:], 1.0) > 0.7))
        moments.append(i + int(np.argmin(track[i:stop])))
        i = stop
    return moments


def fit_blinks(tracks: list[Double]) -> Double:
    """(5,) gamma shape, mean interval, share of doubles, closing and opening seconds."""
    gaps, shapes, blinks, seconds = [], [], 0, 0.0
    for track in tracks:
        moments = blink_moments(track)
        gaps += list(np.diff(moments) / FRAME_RATE)
        shapes += [track[m - 6 : m + 12] for m in moments if m >= 6 and m + 12 < len(track)]
        blinks, seconds = blinks + len(moments), seconds + len(track) / FRAME_RATE
    single = np.array([gap for gap in gaps if gap > 0.5])
    double = float(np.mean(np.array(gaps) <= 0.5))
    closure = 1 - np.median(shapes, 0)
    closure = (closure - closure[:3].mean()) / (closure.max() - closure[:3].mean())
    peak = int(np.argmax(closure))
    closing = 2 * np.interp(0.5, closure[: peak + 1], np.arange(peak + 1))
    opening = np.interp(0.5, closure[peak:][::-1], np.arange(len(closure))[peak:][::-1]) - peak
    closing_frames = 2 * peak - closing
    interval = seconds / max(blinks * (1 - double), 1)
    return np.array(
        [single.mean() ** 2 / single.var(), interval, double, closing_frames / FRAME_RATE, 3.7 * opening / FRAME_RATE]
    )


def fit_glances(clips: list[Clip]) -> Double:
    """(4,) gamma shape, mean fixation seconds, and the spread of glances without what makes up for the head."""
    spreads, stays = [], []
    for clip in clips:
        track = clip.iris.astype(np.float64) * EYE_WIDTH
        if len(clip) < SHORTEST or np.abs(track).max() > 0.2:
            continue
        head = np.column_stack([head_channels(clip)[:, :2], np.ones(len(clip))])
        rest = smooth_wide(track - head @ np.linalg.lstsq(head, track, rcond=None)[0], 0.7)
        spreads.append(rest.std(0))
        speed = np.linalg.norm(np.diff(rest, axis=0), axis=1)
        jumps = np.flatnonzero((speed[1:-1] > 0.006) & (speed[1:-1] >= speed[:-2]) & (speed[1:-1] > speed[2:]))
        stays += list(np.diff(jumps) / FRAME_RATE)
    stay = np.array([gap for gap in stays if gap > 0.15])
    return np.array([stay.mean() ** 2 / stay.var(), stay.mean(), *np.median(spreads, 0)])


def fit(data: Path) -> HeadModel:
    """All numbers of the head from the recordings."""
    clips = load(data).clips
    long = [clip for clip in clips if len(clip) >= SHORTEST]
    strength = np.median([head_channels(clip).std(0) for clip in long], 0)
    process = fit_process(long, strength)
    model = HeadModel(*process, fit_blinks([clip.lid.astype(np.float64) for clip in clips]), fit_glances(clips))
    return fit_gain(model, long, strength)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="talking_motion.npz, its json beside it")
    parser.add_argument("-o", "--output", type=Path, default=Path("echomimic/motion/models"))
    options = parser.parse_args()
    model = fit(options.data)
    tensors = {name: np.ascontiguousarray(getattr(model, name), np.float32) for name in HeadModel.__dataclass_fields__}
    save_file(tensors, options.output / "head.safetensors", {"model": "echomimic head", "format": "1"})


if __name__ == "__main__":
    main()
