"""Does the face move as people do? ``python -m benchmarks.liveliness --data talking_motion.npz [--heldout
heldout.npz]`` measures what the shipped model makes of the sound of recorded people, ``… FOLDER [--recorded
FOLDER]`` the people in videos (of the same names, if recorded ones are beside them).

Spread, speed and the mouth's 99th percentile are medians over clips of generated over recorded. The
classifier (benchmarks.two_sample) sees two seconds at a time. Closed at m, b, p: opening where the mouth nets
hear them over that at open vowels. Nods at stresses: how often a lowest point of the chin lies within 0.16 s
of a peak of loudness, over how often it would by chance (the head's track moved by all other times).
Outliers: share of frames in which a measure or its speed is beyond what recorded people reach in one frame of
a thousand. Without ``--heldout`` (what nets that never saw a person say of them, from `training.mouth
--crossval --keep`) the nets have learned these people, and lag, closures and spread look better than they
are.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.moving import VIDEOS, Moving, of_clip, of_generator, of_video
from benchmarks.two_sample import accuracy
from echomimic.arrays import Doubles
from echomimic.evaluate.life import find_blinks
from echomimic.evaluate.lips import closure, find_lag
from echomimic.motion.speech.life_model import LifeModel, life_model
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.speech.mouth_model import MouthModel, mouth_model
from echomimic.motion.speech.stepper import STYLES
from echomimic.motion.tracks import smooth_wide
from training.data import Clip, Recordings, clip_input, load
from training.mouth_net import window
from training.simulate import MEASURES, Guess, common_basis

SHORTEST = 75
"""Frames of a clip that can be measured."""
_SYLLABLE, _PHRASE = 2.0, 12.5
"""Frames over which loudness and pitch are smoothed, and those of the drift that is taken away."""
_STRESS, _NOD, _NEAR = 0.05, 0.5, 4
"""Loudness by which a stress stands out, deviations by which a nod does, and frames that count as near."""
_WIDEST = 0.999

Kept = dict[str, np.ndarray]


@dataclass(frozen=True)
class Row:
    """One line of the table: a value for each group of people."""

    name: str
    values: tuple[float | None, ...]
    wanted: str = ""


def guess_of(clip: Clip, kept: Kept, mouth: MouthModel) -> Guess | None:
    """What was kept of nets that did not know the person; without any, what the shipped nets say."""
    if kept:
        found = (kept.get(f"{clip.name}|{part}") for part in ("shape", "cues"))
        shape, cues = (None if part is None else part.astype(np.float64) for part in found)
        return None if shape is None or cues is None else Guess(shape, cues)
    heard = window(clip_input(clip), 0, len(clip))
    said = [net(heard) for net in mouth.nets]
    cues = np.mean([phones for _, phones in said if phones is not None], axis=0) @ mouth.classes
    return Guess(np.mean([shape for shape, _ in said], axis=0).astype(np.float64), cues.astype(np.float64))


def people(
    recordings: Recordings, kept: Kept, life: LifeModel, style: str, takes: int
) -> tuple[list[Moving], list[list[Moving]]]:
    """Those who were recorded, and `takes` times what the generator makes of their sound."""
    shipped = mouth_model()
    mouth = replace(shipped, basis=common_basis(recordings, len(shipped.basis)).vectors)
    recorded, generated = [], [[] for _ in range(takes)]  # type: ignore[var-annotated]
    for number, clip in enumerate(recordings.clips):
        guess = guess_of(clip, kept, mouth) if len(clip) >= SHORTEST else None
        if guess is None:
            continue
        recorded.append(of_clip(clip, guess, mouth))
        for take in range(takes):
            seed = 1000 + takes * number + take
            generated[take].append(of_generator(recorded[-1], clip, guess, mouth, life, seed, style))
    return recorded, generated


def videos(folder: Path) -> list[Moving]:
    """Everybody in a folder's videos."""
    return [of_video(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in VIDEOS]


def spread(track: Doubles) -> Doubles:
    """(C,) standard deviations."""
    return np.asarray(track.std(0))


def speed(track: Doubles) -> Doubles:
    """(C,) mean distance gone per second."""
    return np.asarray(np.abs(np.diff(track, axis=0)).mean(0) * FRAME_RATE)


def compared(recorded: Sequence[Moving], takes: Sequence[Sequence[Moving]]) -> Iterator[Row]:
    """Medians over clips of generated over recorded."""
    for name, measure in (("spread", spread), ("speed", speed)):
        ratios = [measure(g.track) / measure(r.track) for take in takes for g, r in _pairs(take, recorded)]
        for channel, ratio in zip(MEASURES, np.median(ratios, 0), strict=True):
            yield Row(f"{name} of {channel}, generated : recorded", (float(ratio),), "0.85 to 1.15")
    widest = [_widest(g) / _widest(r) for take in takes for g, r in _pairs(take, recorded)]
    yield Row("99th percentile of the opening", (float(np.median(widest)),), "<= 1.15")
    told = [accuracy(recorded, take) for take in takes]
    known = [value for value in told if value is not None]
    yield Row("two-sample classifier, right", (float(np.mean(known)) if known else None,), "<= 0.65")


def _pairs(generated: Sequence[Moving], recorded: Sequence[Moving]) -> Iterator[tuple[Moving, Moving]]:
    named = {moving.name: moving for moving in recorded}
    return ((moving, named[moving.name]) for moving in generated if moving.name in named)


def _widest(moving: Moving) -> float:
    opening = moving.track[:, 0]
    return float(np.quantile(opening, 0.99) - np.quantile(opening, 0.02))


def each(groups: Sequence[Sequence[Moving]]) -> Iterator[Row]:
    """What can be said of each group by itself; the first one says what is an outlier."""

    def told(name: str, measure: Callable[[Sequence[Moving]], float | None], wanted: str = "") -> Row:
        return Row(name, tuple(measure(group) for group in groups), wanted)

    for i, channel in enumerate(MEASURES):
        values = [_median(float(m.track[:, i].std()) for m in group) for group in groups]
        yield Row(f"spread of {channel}", tuple(values))
    yield told("closed at m, b, p: share of open vowels", closed_share, "<= 0.30")
    yield told("mouth behind sound, ms", lag_ms, "within 40")
    yield told("nods at stresses over chance", nods_over_chance, "> 1")
    yield told("blinks a minute", blinks_a_minute, "as recorded")
    yield told("length of a blink, ms", blink_ms, "as recorded")
    limits = widest_of(groups[0])
    yield told("outliers, % of frames", lambda group: 100 * outliers(group, limits), "as recorded")


def _median(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def closed_share(group: Sequence[Moving]) -> float | None:
    """Median over people."""
    return _median(None if m.heard is None else closure(m.track[:, 0], m.heard, FRAME_RATE) for m in group)


def lag_ms(group: Sequence[Moving]) -> float | None:
    """Median over people of what the opening comes after what is heard."""
    found = (None if m.heard is None else find_lag(m.heard.opening, m.track[:, 0], FRAME_RATE) for m in group)
    return _median(None if lag is None else 1000 * lag for lag in found)


def nods_over_chance(group: Sequence[Moving]) -> float | None:
    """All people's nods near stresses over those that chance would put there."""
    met, chance = 0.0, 0.0
    for moving in group:
        if moving.energy is None or len(moving) <= 2 * FRAME_RATE:
            continue
        stresses = _peaks(_lively(moving.energy), _STRESS)
        pitch = _lively(moving.track[:, MEASURES.index("pitch")])
        near = np.zeros(len(moving))
        for nod in _peaks(pitch, _NOD * float(pitch.std())):
            near[max(0, nod - _NEAR) : nod + _NEAR + 1] = 1
        met += float(near[stresses].sum())
        shifts = range(FRAME_RATE, len(moving) - FRAME_RATE)
        chance += float(np.mean([np.roll(near, shift)[stresses].sum() for shift in shifts]))
    return met / chance if chance else None


def _lively(track: Doubles) -> Doubles:
    return np.asarray(smooth_wide(track, _SYLLABLE) - smooth_wide(track, _PHRASE))


def _peaks(track: Doubles, least: float) -> np.ndarray:
    padded = np.pad(track, 1, constant_values=-np.inf)
    return np.flatnonzero((track > least) & (track > padded[:-2]) & (track >= padded[2:]))


def blinks_a_minute(group: Sequence[Moving]) -> float | None:
    """Of all people together."""
    found = [(find_blinks(m.lid, FRAME_RATE), len(m)) for m in group]
    known = [(blinks.count, frames) for blinks, frames in found if blinks is not None]
    count, frames = (sum(column) for column in zip(*known, strict=True)) if known else (0, 0)
    return 60 * FRAME_RATE * count / frames if frames else None


def blink_ms(group: Sequence[Moving]) -> float | None:
    """Median over people."""
    found = (find_blinks(m.lid, FRAME_RATE) for m in group)
    return _median(None if b is None or b.seconds is None else 1000 * b.seconds for b in found)


def _motion(moving: Moving) -> Doubles:
    """(F, 14) distance of each measure from its median, and its speed."""
    off = np.abs(moving.track - np.median(moving.track, 0))
    return np.concatenate([off, np.abs(np.gradient(moving.track, axis=0)) * FRAME_RATE], 1)


def widest_of(group: Sequence[Moving]) -> Doubles:
    """(14,) what recorded people reach in one frame of a thousand."""
    return np.asarray(np.quantile(np.concatenate([_motion(moving) for moving in group]), _WIDEST, axis=0))


def outliers(group: Sequence[Moving], limits: Doubles) -> float:
    """Share of frames beyond the limits in any measure."""
    return float(np.mean(np.concatenate([(_motion(moving) > limits).any(1) for moving in group])))


def show(rows: Iterator[Row], heads: Sequence[str]) -> None:
    """Prints a table."""
    print(f"{'':46}" + "".join(f"{head:>14}" for head in heads))
    for row in rows:
        told = "".join(f"{'none' if value is None else f'{value:.3f}':>14}" for value in row.values)
        print(f"{row.name:46}{told}   {row.wanted}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="generated videos")
    parser.add_argument("--recorded", type=Path, help="recorded videos; pairs have the same name")
    parser.add_argument("--data", type=Path, help="talking_motion.npz: measure the shipped model")
    parser.add_argument("--heldout", type=Path, help="guesses by nets that do not know the people")
    parser.add_argument("--style", choices=tuple(STYLES), default="natural")
    parser.add_argument("--takes", type=int, default=3, help="seeds for each clip")
    options = parser.parse_args()
    if options.data:
        kept = dict(np.load(options.heldout)) if options.heldout else {}
        recorded, takes = people(load(options.data), kept, life_model(), options.style, options.takes)
    elif options.folder:
        recorded, takes = videos(options.recorded) if options.recorded else [], [videos(options.folder)]
    else:
        parser.error("give a folder of videos, or --data")
    print(f"{len(recorded)} recorded, {sum(map(len, takes))} generated")
    together = [moving for take in takes for moving in take]
    if recorded:
        show(compared(recorded, takes), ["ratio"])
        show(each([recorded, together]), ["recorded", "generated"])
    else:
        show(each([together]), ["seen"])


if __name__ == "__main__":
    main()
