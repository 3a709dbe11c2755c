"""Speech to mouth: a few small convolutional nets that listen to a log-mel picture and move lips, jaw and
cheeks.

Shapes: T frames at 25 fps (4 mel columns each), K coefficients. The nets run in plain numpy: they are so
small that importing a framework would take longer than all their work on a minute of speech. Trained by
`training.mouth`; what they were made from is in models/MODEL_CARD.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from echomimic.arrays import Floats, multiply_rows
from echomimic.errors import WeightsError
from echomimic.motion.speech import log_mel as hearing
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.progress import Progress, Report, silent

MEL_PER_FRAME = hearing.PER_SECOND // FRAME_RATE
MEL_OFFSET = -2
FRAMES_AT_ONCE = 30 * FRAME_RATE
_MODELS = Path(__file__).parents[1] / "models"
PRESSED, TUCKED, IS_SPEECH = range(3)
"""Columns of the cues: how surely lips are pressed together (m, b, p),
the lower lip is tucked under the teeth (f, v), and anything is said at all."""
# By how much: at 10 dB guesses vary 0.75 times as much as for the clean voice, and open less.
_RAISE = 0.3
# Gates below it are shut: their exponential would overflow float32.
_DEEP = np.float32(-80.0)


@dataclass(frozen=True)
class Conv:
    """A 1-D convolution over time; weight (out, in, width), padding (before, after)."""

    weight: Floats
    bias: Floats
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)

    def __call__(self, x: Floats) -> Floats:
        """As long as its input (over the stride): silence of the net's own is put before and after."""
        return self.valid(np.pad(x, (self.padding, (0, 0))))

    def valid(self, x: Floats) -> Floats:
        """Only the rows for which all inputs are there."""
        reach = self.dilation * (self.weight.shape[2] - 1)
        starts = range(0, reach + 1, self.dilation)
        stop = len(x) - reach
        taps = (
            multiply_rows(x[s : s + stop : self.stride], self.weight[:, :, i].T) for i, s in enumerate(starts)
        )
        return np.asarray(sum(taps, start=self.bias), dtype=np.float32)


@dataclass(frozen=True)
class Block:
    """Residual gated convolution: x + out(a * sigmoid(b)) with a, b = conv(norm(x))."""

    scale: Floats
    shift: Floats
    conv: Conv
    out: Conv

    def __call__(self, x: Floats) -> Floats:
        return x + self.gated(self.conv(self.normal(x)))

    def normal(self, x: Floats) -> Floats:
        """Each row with mean 0 and mean square 1, scaled and shifted."""
        centred = x - x.mean(1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
        return np.asarray(centred / deviation * self.scale + self.shift, np.float32)

    def gated(self, x: Floats) -> Floats:
        """What the block adds, from its convolution's output."""
        value, gate = np.split(x, 2, axis=1)
        return self.out(value / (1 + np.exp(-np.maximum(gate, _DEEP))))


@dataclass(frozen=True)
class Net:
    front: tuple[Conv, ...]
    blocks: tuple[Block, ...]
    shape: Conv
    phone: Conv | None

    @property
    def past(self) -> int:
        """Frames of context before a frame, apart from the first layers' 70 ms."""
        return sum(block.conv.padding[0] for block in self.blocks)

    def __call__(self, mel: Floats) -> tuple[Floats, Floats | None]:
        """(4T, 80) normalised mel to (T, K) coefficients and (T, phones) probabilities,
        if it was taught phones."""
        x = mel
        for conv in self.front:
            x = gelu(conv(x))
        for block in self.blocks:
            x = block(x)
        if self.phone is None:
            return self.shape(x), None
        return self.shape(x), softmax(self.phone(x))


def softmax(x: Floats) -> Floats:
    """Probabilities of unnormalised logarithms, row by row."""
    if not len(x):
        return x
    score = np.exp(x - x.max(1, keepdims=True))
    return np.asarray(score / score.sum(1, keepdims=True), np.float32)


def gelu(x: Floats) -> Floats:
    """The tanh form of the Gaussian error linear unit."""
    return np.asarray(
        0.5 * x * (1 + np.tanh(np.float32(0.7978846) * (x + np.float32(0.044715) * x**3))), np.float32
    )


@dataclass(frozen=True)
class MouthModel:
    """The ensemble and what its coefficients mean.

    basis: (K, 468, 3) displacement per unit from a closed, relaxed mouth, canonical head frame, eye
    distances. classes: (phones, 3) which phones count for each cue. opening: (K,) how one eye distance more
    of opening is spread over the coefficients when a mouth opens. presence: tells speech from other sounds,
    its one output is the log odds; None: all sound is speech.
    """

    nets: tuple[Net, ...]
    basis: Floats
    classes: Floats
    opening: Floats
    presence: Net | None = None

    @property
    def gap(self) -> Floats:
        """(K,) opening between the inner lips (points 13 and 14) per unit of each coefficient."""
        return np.asarray(self.basis[:, 13, 1] - self.basis[:, 14, 1], dtype=np.float32)

    @property
    def past(self) -> int:
        """Frames of context before a frame that it depends on, apart from the first layers' 70 ms."""
        return self.nets[0].past

    @property
    def ahead(self) -> int:
        """Frames of sound that must be heard after a frame begins before it is known:
        the first layers take two."""
        return 2 + sum(block.conv.padding[1] for block in self.nets[0].blocks)

    @property
    def margin(self) -> int:
        """Frames of context on either side that an output depends on, and some to spare."""
        return max(self.past, self.ahead, self.presence.past if self.presence else 0) + 4

    @staticmethod
    def amplify(shapes: Floats, muffled: float) -> Floats:
        """Guesses made larger where noise hides the voice (see Level): the nets grow timid there."""
        return np.asarray(shapes * np.float32(1 + _RAISE * muffled), np.float32)

    def cues(self, phones: Floats, odds: Floats | None) -> Floats:
        """(T, 3) cues from probabilities of phones (T, phones) and the log odds (T, 1) of speech."""
        cues = phones @ self.classes
        cues[:, IS_SPEECH] = 1.0 if odds is None else 1 / (1 + np.exp(-np.clip(odds[:, 0], -30, 30)))
        return cues

    def __call__(
        self, sound: hearing.Sound, frames: int, level: hearing.Level, report: Report = silent
    ) -> tuple[Floats, Floats]:
        """(frames, K) coefficients and (frames, 3) cues at 25 fps; worked through in chunks of 30 s."""
        shapes, cues = [], []
        for start in range(0, frames, FRAMES_AT_ONCE):
            report(
                Progress("audio", start, frames)
            )  # here and before each net, so that a user's stop lands soon
            stop, margin = min(start + FRAMES_AT_ONCE, frames), self.margin
            window = [(f * MEL_PER_FRAME + MEL_OFFSET) for f in (start - margin, stop + margin)]
            heard = hearing.normalise(hearing.log_mel(sound, window[0], window[1], level.gain), level)
            outputs = []
            for done, net in enumerate(self.nets):
                report(Progress("audio", start + (stop - start) * done // len(self.nets), frames))
                outputs.append(net(heard))
            keep = slice(margin, margin + stop - start)
            shapes.append(self.amplify(np.mean([shape[keep] for shape, _ in outputs], axis=0), level.muffled))
            phones = np.mean([phone[keep] for _, phone in outputs if phone is not None], axis=0)
            odds = None if self.presence is None else self.presence(heard)[0][keep]
            cues.append(self.cues(phones, odds))
        report(Progress("audio", frames, frames))
        return np.concatenate(shapes), np.concatenate(cues)


@lru_cache(maxsize=1)
def mouth_model() -> MouthModel:
    """The shipped model for speech that is known whole.
    Raises WeightsError when its file is missing or damaged."""
    return load_mouth(_MODELS / "mouth.safetensors")


@lru_cache(maxsize=1)
def live_model() -> MouthModel:
    """The shipped model for speech that is still coming in: the same shapes, heard with little look-ahead."""
    return load_mouth(_MODELS / "live.safetensors", mouth_model())


def load_mouth(path: Path, shapes: MouthModel | None = None) -> MouthModel:
    """Read an ensemble written by `training.mouth`, or by `training.live` for the `shapes` of another."""
    try:
        tensors = _tensors(path)
        count = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("net."))
        nets = tuple(_net(tensors, f"net.{i}") for i in range(count))
        basis, opening = (
            (tensors["basis"], tensors["opening"]) if shapes is None else (shapes.basis, shapes.opening)
        )
        presence = shapes.presence if shapes else _presence(path.parent / "presence.safetensors")
        return MouthModel(nets, basis, tensors["classes"], opening, presence)
    except (OSError, KeyError, ValueError) as error:
        raise WeightsError(f"{path.name}: cannot be read ({error}); reinstall echomimic") from error


def _presence(path: Path) -> Net | None:
    """The net that tells speech from other sounds, where the folder has one."""
    return _net(_tensors(path), "net.0") if path.is_file() else None


def _tensors(path: Path) -> dict[str, Floats]:
    """All tensors of a file and of those beside it (name.1.safetensors, …),
    weights of eight bits multiplied out."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    stored: dict[str, Any] = {}
    try:
        for file in (path, *sorted(path.parent.glob(f"{path.stem}.*{path.suffix}"))):
            stored |= load_file(file)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    scales = {name for name in stored if name.endswith(".scale") and name.removesuffix(".scale") in stored}
    for name in scales:
        of = name.removesuffix(".scale")
        stored[of] = stored[of].astype(np.float32) * stored[name].astype(np.float32)
    return {name: value.astype(np.float32) for name, value in stored.items() if name not in scales}


def _net(tensors: dict[str, Floats], name: str) -> Net:
    def conv(part: str, stride: int = 1, dilation: int = 1, ahead: int | None = None) -> Conv:
        weight, bias = tensors[f"{name}.{part}.weight"], tensors[f"{name}.{part}.bias"]
        padding = dilation * (weight.shape[2] // 2) if stride == 1 else 1
        reach = dilation * (weight.shape[2] - 1)
        after = padding if ahead is None else ahead
        return Conv(weight, bias, stride, dilation, (reach - after if stride == 1 else 1, after))

    dilations = [int(d) for d in tensors["dilations"]]
    aheads = [int(a) for a in tensors["ahead"]] if "ahead" in tensors else [2 * d for d in dilations]
    blocks = [
        Block(
            tensors[f"{name}.blocks.{i}.norm.weight"],
            tensors[f"{name}.blocks.{i}.norm.bias"],
            conv(f"blocks.{i}.conv", dilation=dilation, ahead=aheads[i]),
            conv(f"blocks.{i}.out"),
        )
        for i, dilation in enumerate(dilations)
    ]
    front = (conv("front.0"), conv("front.1", stride=2), conv("front.2", stride=2))
    phone = conv("phone") if f"{name}.phone.weight" in tensors else None
    return Net(front, tuple(blocks), conv("shape"), phone)
