"""Train the mouth nets: `python -m training.mouth --data talking_motion.npz -o echomimic/motion/models`.

Most nets first learn the phones of synthetic speech (needs the flite command), then the motion of recorded
mouths while they keep naming phones; the others learn motion only, for longer, and err elsewhere, so that the
mean is better (`training.crossval` says how well such nets do on people they never saw). Set
OMP_NUM_THREADS=1: two threads are slower than one on nets this small.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.augment import Augment
from training.basis import Basis, fit_basis, symmetric
from training.data import (
    INNER_BOTTOM,
    INNER_TOP,
    LEFT_CORNER,
    LIPS,
    RIGHT_CORNER,
    Clip,
    Recordings,
    clip_input,
    load,
)
from training.mouth_net import ClipOffset, MouthNet, window
from training.phones import PHONES, Spoken, spoken

CUES = (("m", "b", "p"), ("f", "v"), ("pau",))
"""Which phones count for each cue; the third is put in its place by what training.presence learns."""


@dataclass(frozen=True)
class Recipe:
    """Every number of the training."""

    nets: int = 2
    fresh: int = 1
    fresh_steps: int = 900
    width: int = 112
    coefficients: int = 16
    dilations: tuple[int, ...] = (1, 2, 1, 2, 1)
    drop: float = 0.25
    phone_drop: float = 0.15
    frames: int = 64
    batch: int = 16
    steps: int = 250
    phone_steps: int = 700
    phone_batch: int = 6
    sentences: int = 800
    rate: float = 1e-3
    decay: float = 0.05
    longest: int = 450
    generated: float = 1.0
    stretch: float = 0.4
    unknown: float = 0.25
    average: float = 0.99
    lips: float = 20.0
    speed: float = 10.0
    coefficient: float = 0.3
    measures: float = 6.0
    together: float = 0.6
    offset: float = 0.05
    phone: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """A batch: mel (B, 4T, 80), target (B, T, C), weight (B, T) 0 where a clip has ended, clip (B,)."""

    mel: Tensor
    target: Tensor
    weight: Tensor
    clip: Tensor


class Source:
    """Draws batches from pairs of mel and target, long clips more often than short ones."""

    def __init__(
        self, pairs: list[tuple[np.ndarray, np.ndarray]], recipe: Recipe, share: list[float], seed: int
    ) -> None:
        self.pairs, self.recipe, self.random = pairs, recipe, np.random.default_rng(seed)
        often = np.array(
            [min(len(target), recipe.longest) * s for (_, target), s in zip(pairs, share, strict=True)]
        )
        self.often = often / often.sum()

    def draw(self, count: int) -> Batch:
        chosen = self.random.choice(len(self.pairs), count, p=self.often)
        parts = [self._cut(*self.pairs[i]) for i in chosen]
        mel, target, weight = (torch.from_numpy(np.stack(column)) for column in zip(*parts, strict=True))
        return Batch(mel, target, weight, torch.from_numpy(chosen))

    def _cut(self, mel: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        frames = self.recipe.frames
        pace = self.random.uniform(0.88, 1.14) if self.random.random() < self.recipe.stretch else 1.0
        if pace != 1.0 and len(target) > int(frames * pace) + 3:
            return self._stretched(mel, target, pace)
        known = min(frames, len(target))
        start = int(self.random.integers(0, len(target) - known + 1))
        padded = np.zeros((frames, target.shape[1]), np.float32)
        padded[:known] = target[start : start + known]
        return window(mel, start, frames), padded, (np.arange(frames) < known).astype(np.float32)

    def _stretched(
        self, mel: np.ndarray, target: np.ndarray, pace: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same words spoken faster or slower."""
        frames = self.recipe.frames
        start = int(self.random.integers(0, len(target) - int(frames * pace) - 2))
        at = start + np.arange(frames) * pace
        heard = 4 * start + (np.arange(4 * frames) - 2) * pace
        return _between(mel, heard), _between(target, at), np.ones(frames, np.float32)


def _between(track: np.ndarray, at: np.ndarray) -> np.ndarray:
    at = np.clip(at, 0, len(track) - 1.001)
    low = at.astype(int)
    part = (at - low)[:, None].astype(np.float32)
    return np.asarray(track[low] * (1 - part) + track[low + 1] * part, dtype=np.float32)


class Criterion:
    """How far predicted mouths are from recorded ones, in eye distances on the lips."""

    def __init__(self, basis: Basis, recipe: Recipe) -> None:
        vectors = torch.from_numpy(basis.vectors)
        self.recipe = recipe
        self.lips = vectors[:, LIPS].reshape(len(vectors), -1)
        gap = vectors[:, INNER_TOP, 1] - vectors[:, INNER_BOTTOM, 1]
        width = vectors[:, RIGHT_CORNER, 0] - vectors[:, LEFT_CORNER, 0]
        self.measures = torch.stack([gap, width], 1)
        self.share = torch.tensor([1.0, 0.6])

    def __call__(self, shape: Tensor, batch: Batch) -> Tensor:
        recipe, weight = self.recipe, batch.weight[..., None]
        off = (shape - batch.target) * weight
        total = weight.sum()
        lips = (off @ self.lips).reshape(*off.shape[:2], -1, 3)
        moves = (lips[:, 1:] - lips[:, :-1]) * weight[:, 1:, None]
        loss = recipe.lips * _length(lips, 1e-4).sum() / total
        loss = loss + recipe.speed * _length(moves, 1e-5).sum() / total
        loss = loss + recipe.coefficient * nn.functional.smooth_l1_loss(shape * weight, batch.target * weight)
        loss = loss + recipe.measures * ((off @ self.measures).abs() * self.share).sum() / total
        return loss + recipe.together * self._apart(
            shape @ self.measures, batch.target @ self.measures, weight
        )

    def _apart(self, guess: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
        """1 - Pearson correlation of opening and width over each window."""
        count = weight.sum(1, keepdim=True)
        guess, truth = ((x - (x * weight).sum(1, keepdim=True) / count) * weight for x in (guess, truth))
        size = torch.sqrt((guess**2).sum(1) * (truth**2).sum(1) + 1e-4)
        return ((1 - (guess * truth).sum(1) / size) * self.share).sum(1).mean()


def _length(offsets: Tensor, soft: float) -> Tensor:
    return torch.sqrt((offsets**2).sum(-1) + soft).mean(-1)


class Learner:
    """One net in training: optimiser, schedule and the running average of its weights."""

    def __init__(self, modules: list[nn.Module], steps: int, rate: float, recipe: Recipe) -> None:
        self.modules = nn.ModuleList(modules)
        self.optimiser = torch.optim.AdamW(self.modules.parameters(), rate, weight_decay=recipe.decay)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, rate, total_steps=steps, pct_start=0.1
        )
        self.average: list[Tensor] | None = None

    def step(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()

    @torch.no_grad()
    def remember(self, share: float) -> None:
        weights = list(self.modules.parameters())
        if self.average is None:
            self.average = [weight.clone() for weight in weights]
        for kept, weight in zip(self.average, weights, strict=True):
            kept.lerp_(weight, 1 - share)

    @torch.no_grad()
    def settle(self) -> None:
        """Take the average as the result."""
        for kept, weight in zip(self.average or [], self.modules.parameters(), strict=True):
            weight.copy_(kept)


def new_net(recipe: Recipe, phones: int = len(PHONES)) -> MouthNet:
    return MouthNet(recipe.width, recipe.coefficients, phones, recipe.dilations, recipe.drop)


def phone_loss(net: MouthNet, batch: Batch, augment: Augment) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        score = net.phones(augment(batch.mel))
    missed = -(torch.log_softmax(score, 2) * batch.target).sum(2)
    return (missed * batch.weight).sum() / batch.weight.sum()


def learn_phones(recipe: Recipe, sentences: list[Spoken], seed: int) -> dict[str, Tensor]:
    """A net that names phones: where every motion net starts from."""
    torch.manual_seed(seed)
    net, augment = new_net(replace(recipe, drop=recipe.phone_drop)), Augment(seed)
    source = Source([(s.mel, s.phones) for s in sentences], recipe, [1.0] * len(sentences), seed)
    learner = Learner([net], recipe.phone_steps, 1.5 * recipe.rate, recipe)
    for _ in range(recipe.phone_steps):
        learner.step(phone_loss(net, source.draw(recipe.batch), augment))
    return net.state_dict()


def learn_motion(
    recipe: Recipe, clips: list[Clip], recordings: Recordings, basis: Basis, start: Start | None, seed: int
) -> MouthNet:
    """One net that moves a mouth, from one that names phones, or from nothing and without phones."""
    torch.manual_seed(seed)
    net = new_net(recipe) if start else new_net(recipe, phones=0)
    offset, augment = ClipOffset(len(clips), recipe.coefficients), Augment(seed + 1)
    if start:
        net.load_state_dict(start.weights)
        voices = Source(
            [(s.mel, s.phones) for s in start.sentences], recipe, [1.0] * len(start.sentences), seed + 2
        )
    pairs = [(clip_input(clip), basis.read(symmetric(clip.shape, recordings))) for clip in clips]
    source = Source(pairs, recipe, [recipe.generated if clip.generated else 1.0 for clip in clips], seed)
    criterion, learner = (
        Criterion(basis, recipe),
        Learner([net, offset], recipe.steps, recipe.rate, recipe),
    )
    for step in range(recipe.steps):
        batch = source.draw(recipe.batch)
        known = (torch.rand(recipe.batch, 1, generator=augment.random) > recipe.unknown).float()
        with torch.autocast("cpu", torch.bfloat16):
            shape = net(augment(batch.mel))
        loss = criterion(offset(shape, batch.clip, known), batch) + recipe.offset * offset.penalty(batch.clip)
        if start:
            loss = loss + recipe.phone * phone_loss(net, voices.draw(recipe.phone_batch), augment)
        learner.step(loss)
        if step >= recipe.steps // 2:
            learner.remember(recipe.average)
    learner.settle()
    return net.eval()


@dataclass(frozen=True)
class Start:
    """Where motion training begins: the sentences, and a net that names their phones."""

    sentences: list[Spoken]
    weights: dict[str, Tensor]


def begin(recipe: Recipe) -> Start:
    """Speak the sentences and learn their phones: where the nets that are taught phones begin."""
    sentences = [s for s in spoken(recipe.sentences, recipe.seed) if len(s.phones) >= recipe.frames]
    return Start(sentences, learn_phones(recipe, sentences, recipe.seed))


def ensemble(
    recipe: Recipe, clips: list[Clip], recordings: Recordings, basis: Basis, start: Start
) -> list[MouthNet]:
    """The nets that are averaged at use."""
    taught = [(recipe, start)] * recipe.nets + [
        (replace(recipe, steps=recipe.fresh_steps), None)
    ] * recipe.fresh
    seeds = [recipe.seed + 100 * i + 1 for i in range(len(taught))]
    return [
        learn_motion(r, clips, recordings, basis, s, seed) for (r, s), seed in zip(taught, seeds, strict=True)
    ]


def opening_direction(basis: Basis, clips: list[Clip], recordings: Recordings) -> np.ndarray:
    """(K,) how coefficients change, on average, when the mouth opens by one eye distance."""
    shapes = np.concatenate([basis.read(symmetric(clip.shape, recordings)) for clip in clips])
    gap = shapes @ (basis.vectors[:, INNER_TOP, 1] - basis.vectors[:, INNER_BOTTOM, 1])
    return np.asarray(shapes.T @ gap / (gap @ gap), dtype=np.float32)


def export(nets: list[MouthNet], basis: Basis, opening: np.ndarray, recipe: Recipe, path: Path) -> None:
    """Write what `echomimic.motion.speech.mouth_model` reads:
    the first net and what all share, then one file a net."""
    shared = {"basis": torch.from_numpy(basis.vectors).half(), "opening": torch.from_numpy(opening)}
    export_nets(nets, path, "echomimic mouth", shared | listening(recipe.dilations))


def listening(dilations: tuple[int, ...], aheads: tuple[int, ...] | None = None) -> dict[str, Tensor]:
    """What a reader must know of the nets beside their weights."""
    known = {"classes": cue_classes(), "dilations": torch.tensor(dilations)}
    return known if aheads is None else known | {"ahead": torch.tensor(aheads)}


def cue_classes() -> Tensor:
    """(phones, 3) which phones count for each cue."""
    return torch.tensor([[float(phone in cue) for cue in CUES] for phone in PHONES])


def export_nets(nets: list[MouthNet], path: Path, model: str, shared: dict[str, Tensor]) -> None:
    """Net 0 and `shared` into `path`, the others beside it: `name.1.safetensors`, …"""
    for i, net in enumerate(nets):
        tensors = {} if i else dict(shared)
        for name, value in net.state_dict().items():
            tensors |= (
                eighth(f"net.{i}.{name}", value) if value.ndim == 3 else {f"net.{i}.{name}": value.half()}
            )
        file = path if i == 0 else path.with_suffix(f".{i}.safetensors")
        save_file({key: value.contiguous() for key, value in tensors.items()}, file, {"model": model})


def eighth(name: str, weight: Tensor) -> dict[str, Tensor]:
    """A convolution's weights in eight bits, each output channel with its own scale."""
    scale = (weight.abs().amax((1, 2), keepdim=True) / 127).clamp_min(1e-8).half()
    return {name: torch.round(weight / scale.float()).clamp(-127, 127).to(torch.int8), f"{name}.scale": scale}


def parse_recipe(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Recipe]:
    """The options of a command that trains, and the recipe they ask for; one thread for small nets."""
    parser.add_argument("--data", type=Path, required=True, help="talking_motion.npz, its json beside it")
    parser.add_argument("--nets", type=int, default=Recipe.nets)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    return options, replace(Recipe(), nets=options.nets, steps=options.steps, seed=options.seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("echomimic/motion/models"))
    options, recipe = parse_recipe(parser)
    recordings = load(options.data)
    basis = fit_basis(recordings.clips, recordings, recipe.coefficients)
    nets = ensemble(recipe, recordings.clips, recordings, basis, begin(recipe))
    opening = opening_direction(basis, recordings.clips, recordings)
    export(nets, basis, opening, recipe, options.output / "mouth.safetensors")


if __name__ == "__main__":
    main()
