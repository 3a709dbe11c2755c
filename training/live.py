"""Train the nets of live speech: `python -m training.live --data talking_motion.npz -o
echomimic/motion/models`.

They hear only a few frames ahead. Their teacher is the offline ensemble (mouth.safetensors in the output
folder): they learn what it says of the recordings and of synthetic speech, where there is as much of it as
one likes, beside the recorded mouths and the phones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from echomimic.arrays import Floats
from echomimic.motion.speech.mouth_model import Net, load_mouth
from training.augment import Augment
from training.basis import Basis, fit_basis, symmetric
from training.data import Clip, Recordings, clip_input, load
from training.mouth import Criterion, Learner, Recipe, Source, export_nets, listening
from training.mouth_net import MouthNet, window
from training.phones import PHONES, Spoken, spoken

AHEADS = {2: (0, 0, 0, 0, 0), 3: (0, 0, 0, 0, 1), 5: (0, 0, 0, 1, 2)}
"""Frames heard after a frame begins (the first layers take two): what each block takes of them."""


@dataclass(frozen=True)
class LiveRecipe:
    """Every number of the training of live nets, apart from those of `Recipe`."""

    look: int = 3
    nets: int = 1
    steps: int = 400
    batch: int = 12
    sentence_batch: int = 6
    rate: float = 8e-4
    drop: float = 0.15
    teacher: float = 0.7
    seed: int = 50


def new_live_net(recipe: Recipe, live: LiveRecipe) -> MouthNet:
    aheads = AHEADS[live.look]
    return MouthNet(recipe.width, recipe.coefficients, len(PHONES), recipe.dilations, live.drop, aheads)


@dataclass(frozen=True)
class Lessons:
    """What pupils learn from: mel and target, the teacher's guess (F, K) put after what is known of each
    frame.

    recorded: the recorded coefficients (F, K) are known; synthetic: the phones (F, P) are.
    """

    recorded: list[tuple[Floats, Floats]]
    synthetic: list[tuple[Floats, Floats]]


Teach = Callable[[Floats, int], Floats]
"""Mel (4F, 80) and F to the teacher's guess (F, K)."""


def prepare(
    teach: Teach, clips: list[Clip], recordings: Recordings, basis: Basis, sentences: list[Spoken]
) -> Lessons:
    """Let the teacher listen to everything."""
    heard = [(clip_input(clip), basis.read(symmetric(clip.shape, recordings))) for clip in clips]
    heard_said = [
        (sentence.mel, sentence.phones) for sentence in sentences if len(sentence.phones) >= Recipe.frames
    ]
    both = [
        [(mel, np.concatenate([own, teach(mel, len(own))], 1)) for mel, own in pairs]
        for pairs in (heard, heard_said)
    ]
    return Lessons(*both)


def learn(
    recipe: Recipe, live: LiveRecipe, basis: Basis, lessons: Lessons, first: dict[str, Tensor], seed: int
) -> MouthNet:
    """One net that hears little ahead, begun from one that hears both ways."""
    torch.manual_seed(seed)
    net, count = new_live_net(recipe, live), recipe.coefficients
    net.load_state_dict(first)
    augment, criterion = Augment(seed + 1), Criterion(basis, recipe)
    heard = Source(lessons.recorded, recipe, [1.0] * len(lessons.recorded), seed)
    voices = Source(lessons.synthetic, recipe, [1.0] * len(lessons.synthetic), seed + 2)
    learner = Learner([net], live.steps, live.rate, recipe)
    for step in range(live.steps):
        batch, voice = heard.draw(live.batch), voices.draw(live.sentence_batch)
        with torch.autocast("cpu", torch.bfloat16):
            shape = net(augment(batch.mel))
            trunk = net.trunk(augment(voice.mel))
            said = net.shape(trunk).transpose(1, 2).float()
            assert net.phone is not None
            score = net.phone(trunk).transpose(1, 2).float()
        real = replace(batch, target=batch.target[..., :count])
        taught = replace(batch, target=batch.target[..., count:])
        loss = (1 - live.teacher) * criterion(shape, real) + live.teacher * criterion(shape, taught)
        loss = loss + 0.5 * criterion(said, replace(voice, target=voice.target[..., len(PHONES) :]))
        loss = loss + recipe.phone * named_wrong(score, voice.target[..., : len(PHONES)], voice.weight)
        learner.step(loss)
        if step >= live.steps // 2:
            learner.remember(recipe.average)
    learner.settle()
    return net.eval()


def named_wrong(score: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy of phones, per frame."""
    missed = -(torch.log_softmax(score, 2) * target).sum(2)
    return (missed * weight).sum() / weight.sum()


def whole(nets: tuple[Net, ...]) -> Teach:
    """A teacher out of the nets as they are used."""

    def teach(mel: Floats, frames: int) -> Floats:
        heard = window(mel, 0, frames)
        return np.asarray(np.mean([net(heard)[0] for net in nets], axis=0), np.float32)

    return teach


def weights_of(path: Path) -> dict[str, Tensor]:
    """The first net of a file, to begin with."""
    stored = load_file(path)
    scaled = {
        n: v.float() * stored[f"{n}.scale"].float() if f"{n}.scale" in stored else v
        for n, v in stored.items()
    }
    first = {
        name.removeprefix("net.0."): value.float()
        for name, value in scaled.items()
        if name.startswith("net.0.")
    }
    return {name: value for name, value in first.items() if not name.endswith(".scale")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="talking_motion.npz, its json beside it")
    parser.add_argument("-o", "--output", type=Path, default=Path("echomimic/motion/models"))
    parser.add_argument("--look", type=int, choices=tuple(AHEADS), default=LiveRecipe.look)
    parser.add_argument("--nets", type=int, default=LiveRecipe.nets)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    recipe, live = Recipe(), replace(LiveRecipe(), look=options.look, nets=options.nets)
    recordings, offline = load(options.data), options.output / "mouth.safetensors"
    basis = fit_basis(recordings.clips, recordings, recipe.coefficients)
    teacher = whole(load_mouth(offline).nets)
    lessons = prepare(teacher, recordings.clips, recordings, basis, spoken(recipe.sentences, recipe.seed))
    first = weights_of(offline)
    nets = [learn(recipe, live, basis, lessons, first, live.seed + i) for i in range(live.nets)]
    shared = listening(recipe.dilations, AHEADS[live.look])
    export_nets(nets, options.output / "live.safetensors", "echomimic live mouth", shared)


if __name__ == "__main__":
    main()
