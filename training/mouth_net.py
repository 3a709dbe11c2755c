"""The mouth net in torch, as it is trained; `echomimic.motion.speech.mouth_model` runs the same numbers in
numpy.

Shapes: B clips, T frames, K coefficients, H hidden channels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from echomimic.motion.speech.log_mel import BANDS


class Block(nn.Module):
    """Residual gated convolution, normalised per frame so that results do not depend on how speech is cut.

    ahead: how many frames after its own a frame is made from; as many as before it when not given.
    """

    def __init__(self, width: int, dilation: int, drop: float, ahead: int | None = None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(drop)
        self.conv = nn.Conv1d(width, 2 * width, 5, dilation=dilation)
        after = 2 * dilation if ahead is None else ahead
        self.padding = (4 * dilation - after, after)
        self.out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        normal = self.norm(x.transpose(1, 2)).transpose(1, 2)
        padded = nn.functional.pad(self.drop(normal), self.padding)
        value, gate = self.conv(padded).chunk(2, 1)
        return x + torch.as_tensor(self.out(value * torch.sigmoid(gate)))


class MouthNet(nn.Module):
    """Mel (B, 4T, 80) to coefficients (B, T, K); a second head names phones and is trained on synthetic
    speech.

    With `phones` 0 it has no second head.

    Each training clip has its own gain and offset per coefficient. They soak up how much a person moves and
    how their mouth rests, and are dropped at use.
    """

    def __init__(
        self,
        width: int,
        coefficients: int,
        phones: int,
        dilations: tuple[int, ...],
        drop: float,
        aheads: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        looks = [None] * len(dilations) if aheads is None else list(aheads)
        convs = [nn.Conv1d(BANDS, width, 5, padding=2)]
        convs += [nn.Conv1d(width, width, 4, stride=2, padding=1) for _ in range(2)]
        self.front = nn.ModuleList(convs)
        self.blocks = nn.ModuleList(
            [Block(width, dilation, drop, ahead) for dilation, ahead in zip(dilations, looks, strict=True)]
        )
        self.drop = nn.Dropout(drop)
        self.shape = nn.Conv1d(width, coefficients, 1)
        self.phone = nn.Conv1d(width, phones, 1) if phones else None

    def trunk(self, mel: Tensor) -> Tensor:
        """(B, H, T) what both heads see."""
        x = mel.transpose(1, 2)
        for conv in self.front:
            x = nn.functional.gelu(conv(x), approximate="tanh")
        for block in self.blocks:
            x = block(x)
        return torch.as_tensor(self.drop(x))

    def forward(self, mel: Tensor) -> Tensor:
        return torch.as_tensor(self.shape(self.trunk(mel)).transpose(1, 2).float())

    def phones(self, mel: Tensor) -> Tensor:
        """(B, T, phones) unnormalised log probabilities."""
        assert self.phone is not None, "this net was not taught phones"
        return torch.as_tensor(self.phone(self.trunk(mel)).transpose(1, 2).float())


class ClipOffset(nn.Module):
    """Gain and offset of each training clip's coefficients."""

    def __init__(self, clips: int, coefficients: int) -> None:
        super().__init__()
        self.table = nn.Embedding(clips, 2 * coefficients)
        nn.init.zeros_(self.table.weight)

    def forward(self, shape: Tensor, clip: Tensor, known: Tensor) -> Tensor:
        gain, offset = (self.table(clip) * known)[:, None].chunk(2, 2)
        return torch.as_tensor(shape * torch.exp(gain) + offset)

    def penalty(self, clip: Tensor) -> Tensor:
        return torch.as_tensor(self.table(clip).pow(2).mean())


def predict(nets: list[MouthNet], mel: npt.NDArray[np.float32], frames: int) -> npt.NDArray[np.float32]:
    """(frames, K) mean of the nets over a whole clip."""
    with torch.no_grad():
        heard = torch.from_numpy(window(mel, 0, frames))[None]
        return np.asarray(torch.stack([net(heard)[0] for net in nets]).mean(0).numpy(), dtype=np.float32)


def predict_cues(
    nets: list[MouthNet], mel: npt.NDArray[np.float32], frames: int, classes: Tensor
) -> npt.NDArray[np.float32]:
    """(frames, cues) mean of the nets that know phones;
    classes (phones, cues) says which count for each cue."""
    with torch.no_grad():
        heard = torch.from_numpy(window(mel, 0, frames))[None]
        named = [torch.softmax(net.phones(heard)[0], 1) @ classes for net in nets if net.phone is not None]
        return np.asarray(torch.stack(named).mean(0).numpy(), dtype=np.float32)


def window(mel: npt.NDArray[np.float32], start: int, frames: int) -> npt.NDArray[np.float32]:
    """The 4 x frames mel columns that the net needs for `frames` frames from `start`; clip ends are held."""
    index = np.arange(4 * frames) + 4 * start - 2
    return np.asarray(mel[np.clip(index, 0, len(mel) - 1)], dtype=np.float32)
