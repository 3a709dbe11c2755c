"""The mouth nets fed with a sound that is still coming in: every layer keeps the rows it still needs.

No layer pads: before the sound there is silence as the microphone gives it, not zeros inside the net. What
comes out does not depend on how the columns are cut, but for the last bit of a float.
"""

from __future__ import annotations

import numpy as np

from echomimic.arrays import Floats
from echomimic.motion.speech.mouth_model import Block, Conv, MouthModel, Net, gelu, softmax


class ConvStream:
    """A convolution without padding over rows that come in pieces."""

    def __init__(self, conv: Conv) -> None:
        self.conv = conv
        self.reach = conv.dilation * (conv.weight.shape[2] - 1)
        self.rows = np.zeros((0, conv.weight.shape[1]), np.float32)

    def push(self, rows: Floats) -> Floats:
        """The outputs for which all inputs are there now."""
        self.rows = np.concatenate([self.rows, rows])
        count = max(0, (len(self.rows) - self.reach - 1) // self.conv.stride + 1)
        if not count:
            return np.zeros((0, len(self.conv.bias)), np.float32)
        used = self.rows[: (count - 1) * self.conv.stride + self.reach + 1]
        self.rows = self.rows[count * self.conv.stride :]
        return self.conv.valid(used)


class BlockStream:
    """A residual block: what passes by waits for what goes through the convolution."""

    def __init__(self, block: Block) -> None:
        self.block, self.conv = block, ConvStream(block.conv)
        self.passing = np.zeros((0, len(block.scale)), np.float32)
        self.skip = block.conv.padding[0]

    def push(self, rows: Floats) -> Floats:
        self.passing = np.concatenate([self.passing, rows])
        out = self.conv.push(self.block.normal(rows))
        done = self.passing[self.skip : self.skip + len(out)]
        self.passing = self.passing[len(out) :]
        return done + self.block.gated(out)


class NetStream:
    """One net, without its first `skip` frames; gives shapes (n, K) and, if it was taught phones, their
    probabilities (n, phones)."""

    def __init__(self, net: Net, skip: int = 0) -> None:
        self.net, self.skip = net, skip
        self.front = [ConvStream(conv) for conv in net.front]
        self.blocks = [BlockStream(block) for block in net.blocks]

    def push(self, mel: Floats) -> tuple[Floats, Floats | None]:
        rows = mel
        for conv in self.front:
            rows = gelu(conv.push(rows))
        for block in self.blocks:
            rows = block.push(rows)
        gone = min(self.skip, len(rows))
        self.skip, rows = self.skip - gone, rows[gone:]
        phones = None if self.net.phone is None else softmax(self.net.phone(rows))
        return self.net.shape(rows), phones


class MouthStream:
    """The ensemble: normalised log-mel columns from number `first` on give frames from number 0 on."""

    def __init__(self, model: MouthModel) -> None:
        self.model = model
        past = max(model.past, model.presence.past if model.presence else 0)
        self.nets = [NetStream(net, past - net.past) for net in model.nets]
        self.presence = NetStream(model.presence, past - model.presence.past) if model.presence else None
        self.odds = np.zeros((0, 1), np.float32)
        self.early = -past
        self.first = 4 * self.early - 7
        """The column that must come first: then the first frame that comes out is number 0."""

    def push(self, mel: Floats) -> tuple[Floats, Floats]:
        """(n, K) coefficients and (n, 3) cues of the frames that are complete now."""
        outputs = [net.push(mel) for net in self.nets]
        shapes = np.mean([shape for shape, _ in outputs], axis=0)
        phones = np.mean([phones for _, phones in outputs if phones is not None], axis=0)
        if self.presence is None:
            return shapes, self.model.cues(phones, None)
        self.odds = np.concatenate([self.odds, self.presence.push(mel)[0]])
        odds, self.odds = self.odds[: len(shapes)], self.odds[len(shapes) :]
        return shapes, self.model.cues(phones, odds)
