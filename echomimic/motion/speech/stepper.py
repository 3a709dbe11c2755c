"""Speech to performance in steps: sound goes in as it comes, frames come out as soon as they are known.

The one way from a sound to a performance: a live session feeds chunks, a video feeds its whole speech. All
state is in the stepper (numpy arrays and generators: `copy.deepcopy` saves it); the chunks in which a sound
comes change no bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from echomimic.arrays import Doubles, Floats
from echomimic.media.audio import RATE
from echomimic.motion.performance import Performance, at_rest, join
from echomimic.motion.speech.articulation import DELAY, Articulator
from echomimic.motion.speech.ear import FRAME_SAMPLES, Ear
from echomimic.motion.speech.life_model import HEAD, HeadFollowing, LifeModel, LifeProcess, cubic, life_model
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.speech.mouth_model import MouthModel, live_model
from echomimic.motion.speech.net_stream import MouthStream
from echomimic.motion.speech.running_level import LevelTracker, RunningLevel
from echomimic.motion.speech.small_motions import Blinks, BodySway, Glances
from echomimic.motion.speech.streams import Tail

_FASTEST, _SLOWEST = 100.0, 5.0
_STRONGEST, MOST_BLINKS = 2.0, 4.0
LIMITS = np.array([0.18, 0.25, 0.17, 0.28, 0.20, 0.10])
"""Where pitch, yaw, roll (radians), x, y and brow (eye distances) end:
the recordings' widest, softly approached."""
# Eyes turn against the head, eye distances per radian.
_VOR = np.array([-0.090, -0.055])
# Frames that the curve between two frames is drawn through, beyond the second.
_AFTER = 2
STYLES = {"calm": (0.6, 0.6), "natural": (1.0, 1.0), "lively": (1.15, 1.5)}
"""What a style does: (temperature of the mouth, amplitude of head and brows)."""


@dataclass(frozen=True)
class Manner:
    """How a speaker moves: 0 off, 1 natural, 2 the most; a style sets temperature and amplitudes before that.

    expressiveness scales the mouth, head_motion the head, brows and shoulders, blink_rate (up to 4) the
    number of blinks, gaze the movement of the eyes. Raises ValueError when a number is out of range or the
    style is unknown.
    """

    expressiveness: float = 1.0
    head_motion: float = 1.0
    blink_rate: float = 1.0
    gaze: float = 1.0
    style: str = "natural"

    def __post_init__(self) -> None:
        for name, most in (
            ("expressiveness", _STRONGEST),
            ("head_motion", _STRONGEST),
            ("blink_rate", MOST_BLINKS),
            ("gaze", _STRONGEST),
        ):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise ValueError(f"{name} is {value}, which is out of range; give 0 to {most:g}")
        if self.style not in STYLES:
            raise ValueError(f"style {self.style!r} is unknown; choose one of {', '.join(STYLES)}")


class Stepper:
    """One speaker. `hop`: frames of 25 per second that are worked through at once.

    Frame i of all that come out shows the moment i / fps of all the sound that went in, silence fed by `end`
    and `idle` included. Raises ValueError when fps is out of range.
    """

    def __init__(
        self,
        manner: Manner | None = None,
        fps: float = 25.0,
        seed: int = 0,
        *,
        mouth: MouthModel | None = None,
        life: LifeModel | None = None,
        level: LevelTracker | None = None,
        hop: int = 1,
    ) -> None:
        if not _SLOWEST <= fps <= _FASTEST:
            raise ValueError(f"fps is {fps}; give {_SLOWEST:g} to {_FASTEST:g}")
        self.manner, self.fps, self.hop = manner or Manner(), fps, hop
        self.mouth, self.life = mouth or live_model(), life or life_model()
        self.net = MouthStream(self.mouth)
        self.ear = Ear(level or RunningLevel(), self.net.first)
        self.wave = np.zeros(0, np.float32)
        self.samples = self.made = 0
        self.spare = at_rest(0, fps, self.mouth.basis)
        temperature, self.amplitude = STYLES[self.manner.style]
        streams = [
            np.random.default_rng([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, stream]) for stream in range(4)
        ]
        self.process, self.following = LifeProcess(self.life, streams[0]), HeadFollowing(self.life.jaw)
        self.blinks = Blinks(self.life.blink, streams[1], self.manner.blink_rate)
        self.glances, self.body = Glances(self.life.glance, streams[2]), BodySway(streams[3])
        self.articulator = Articulator(self.mouth, self.life.stretch, temperature, self.manner.expressiveness)
        self.temperature = temperature
        self.track = Tail(np.zeros((2, HEAD + len(self.mouth.basis))))

    @property
    def lookahead(self) -> int:
        """Frames of 25 per second by which the sound must be ahead of a frame that comes out."""
        curve = 0 if FRAME_RATE % self.fps == 0 else _AFTER
        return self.mouth.ahead + DELAY + curve

    @property
    def frames(self) -> int:
        """How many frames have come out."""
        return self.made - len(self.spare)

    def push(self, wave: Floats) -> Performance:
        """Samples of 16 kHz mono speech, -1 to 1, any number; the frames that are known now, perhaps none."""
        if not np.isfinite(wave).all():
            raise ValueError("the speech holds a sample that is not a number")
        self.samples += len(wave)
        self.wave = np.concatenate([self.wave, np.asarray(wave, np.float32)])
        parts = [self.spare, *(self._step(hop) for hop in self._hops(self.hop * FRAME_SAMPLES))]
        self.spare = self.spare[:0]
        return join(parts)

    def end(self) -> Performance:
        """The frames up to the end of what was pushed; silence follows it as far as they need."""
        return self._until(int(np.ceil(self.samples / RATE * self.fps - 1e-6)))

    def idle(self, frames: int) -> Performance:
        """`frames` more frames in which nothing is said."""
        return self._until(self.frames + frames)

    def interrupt(self) -> None:
        """Forget sound that has not been worked through; what is being said stops."""
        self.samples -= len(self.wave)
        self.wave = np.zeros(0, np.float32)

    def _until(self, frames: int) -> Performance:
        """Feed silence until so many frames have come out in all; what a hop gives beyond them waits."""
        wanted = frames - self.frames
        parts = [self.spare]
        while self.made < frames:
            self.spare = self.spare[:0]
            parts.append(self.push(np.zeros(self.hop * FRAME_SAMPLES - len(self.wave), np.float32)))
        done = join(parts)
        self.spare = done[max(0, wanted) :]
        return done[: max(0, wanted)]

    def _hops(self, size: int) -> Iterator[Floats]:
        while len(self.wave) >= size:
            hop, self.wave = self.wave[:size], self.wave[size:]
            yield hop

    def _step(self, wave: Floats) -> Performance:
        heard = self.ear.hear(wave)
        shapes, cues = self.net.push(heard.mel)
        return self.act(heard.energy, self.mouth.amplify(shapes, heard.muffled), cues)

    def act(self, energy: Floats, shapes: Floats, cues: Floats) -> Performance:
        """What was heard, at 25 per second: (n,) loudness, (m, K) guessed mouths, (m, 3) cues; the frames
        known now.

        `push` comes here with what the live nets hear; whoever has heard a whole speech before may come here
        at once.
        """
        self.process.hear(energy)
        self.blinks.hear(energy)
        self.articulator.hear(energy)
        start = self.articulator.done
        stop = max(start, self.articulator.shapes.stop + len(shapes) - DELAY)
        states = self.process.frames(start, stop) if stop > start else np.zeros((0, len(self.life.noise)))
        chance = self.temperature * states[:, HEAD:] @ self.life.mouth
        mouth, _ = self.articulator.push(shapes, cues, chance)
        head = states[:, :HEAD] + self.following.push(mouth @ self.mouth.gap)
        self.track.append(np.concatenate([head, mouth], 1))
        return self._drawn()

    def _drawn(self) -> Performance:
        """The frames at the wanted rate that the track reaches."""
        ratio = FRAME_RATE / self.fps
        after = self.lookahead - self.mouth.ahead - DELAY
        count = int(np.floor((self.track.stop - 1 - after) / ratio + 1e-9)) + 1
        numbers = np.arange(self.made, max(self.made, count), dtype=np.float64)
        self.made += len(numbers)
        at = numbers * ratio
        if not len(at):
            return at_rest(0, self.fps, self.mouth.basis)
        values = self._between(at)
        self.track.forget(int(np.floor(at[-1])) - 1)
        return self._performance(values, numbers / self.fps)

    def _between(self, at: Doubles) -> Doubles:
        left = np.floor(at + 1e-9).astype(int)
        first = int(left[0]) - 1
        known = self.track.span(first, min(self.track.stop, int(left[-1]) + _AFTER + 1))
        p0, p1, p2, p3 = (known[np.minimum(left - first + step, len(known) - 1)] for step in (-1, 0, 1, 2))
        return cubic(p0, p1, p2, p3, np.maximum(at - left, 0.0)[:, None])

    def _performance(self, values: Doubles, times: Doubles) -> Performance:
        manner = self.manner
        head = LIMITS * np.tanh(values[:, :HEAD] * self.amplitude * manner.head_motion / LIMITS)
        looks = self.glances.at(times) + head[:, [1, 0]] * _VOR
        closed = self.blinks.at(times)
        body = self.body.at(times, head[:, 3:5], min(manner.head_motion, 1.0))
        tracks = (
            values[:, HEAD:],
            head[:, :3],
            head[:, 3:5],
            np.repeat(closed[:, None], 2, 1),
            manner.gaze * looks,
        )
        expression, rotation, translation, blink, gaze = (np.asarray(t, np.float32) for t in tracks)
        return Performance(
            fps=self.fps,
            expression=expression,
            basis=self.mouth.basis,
            rotation=rotation,
            translation=translation,
            blink=blink,
            gaze=gaze,
            brow=np.asarray(head[:, 5], np.float32),
            body=np.asarray(body, np.float32),
        )
