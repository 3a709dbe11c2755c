"""What the denoiser hears: states of Whisper tiny's encoder around every video frame.

Shapes: T = encoder steps (50 per second), 5 = states kept per step, 384 = width; a frame gets 10 steps × 5
states = (50, 384). The encoder runs on pieces of 30 s, each on its own, so a recording may have any length:
pieces are encoded when a frame needs them and only the newest few are kept.
"""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from echomimic.errors import SpeechError
from echomimic.media.audio import RATE

# Whisper's own front end: 25 ms windows every 10 ms at 16 kHz.
WHISPER_HOP = 160
WHISPER_WINDOW = 400
PIECE = 3000
"""Mel frames the encoder sees at once (30 s)."""
STEPS_PER_SECOND = 50

WHISPER_TINY = WhisperConfig(
    num_mel_bins=80,
    max_source_positions=1500,
    d_model=384,
    encoder_layers=4,
    encoder_attention_heads=6,
    encoder_ffn_dim=1536,
)
"""Whisper tiny, as far as the encoder needs it."""


def build_encoder() -> WhisperEncoder:
    """The encoder with unset weights and without its last norm,
    because the states before it are the features."""
    encoder: nn.Module = WhisperEncoder(WHISPER_TINY)
    encoder.layer_norm = nn.Identity()
    encoder.train(False)
    encoder.requires_grad_(False)
    assert isinstance(encoder, WhisperEncoder)
    return encoder


def whisper_positions(steps: int = 1500, dim: int = 384) -> Tensor:
    """Whisper's encoder positions (steps, dim): first half sines, second half cosines."""
    half = dim // 2
    angle = torch.arange(steps)[:, None] * torch.exp(torch.arange(half) * (-math.log(10000.0) / (half - 1)))
    return torch.cat([angle.sin(), angle.cos()], 1)


@functools.cache
def mel_filters() -> Tensor:
    """Whisper's 80 Slaney mel filters over 201 frequencies."""
    bank = mel_filter_bank(201, 80, 0.0, RATE / 2, RATE, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(np.ascontiguousarray(bank.T, np.float32))


class LogMel:
    """Whisper's log-mel picture of a recording, computed piece by piece.

    ``read(start, stop)`` returns float32 samples at 16 kHz, -1…1. Levels are clipped at 8 (80 dB) below the
    maximum of the whole recording, so making one goes through the recording once.

    Raises SpeechError: the recording is shorter than one encoder step (20 ms).
    """

    def __init__(self, read: Callable[[int, int], np.ndarray], samples: int) -> None:
        if samples < 2 * WHISPER_HOP:
            raise SpeechError(
                f"the speech lasts {samples / RATE:.3f} s: give at least {2 * WHISPER_HOP / RATE:.2f} s"
            )
        self.read, self.samples = read, samples
        self.frames = samples // WHISPER_HOP
        self.floor = max(float(self._log(*span).max()) for span in self.pieces()) - 8.0

    def pieces(self) -> list[tuple[int, int]]:
        """Spans of mel frames that are encoded together."""
        return [(start, min(start + PIECE, self.frames)) for start in range(0, self.frames, PIECE)]

    def piece(self, start: int, stop: int) -> Tensor:
        """Mel frames start…stop, (80, stop - start)."""
        return (self._log(start, stop).clamp(min=self.floor) + 4.0) / 4.0

    def _log(self, start: int, stop: int) -> Tensor:
        windows = self._padded(
            start * WHISPER_HOP - WHISPER_WINDOW // 2, (stop - 1) * WHISPER_HOP + WHISPER_WINDOW // 2
        ).unfold(0, WHISPER_WINDOW, WHISPER_HOP)
        power = torch.fft.rfft(windows * torch.hann_window(WHISPER_WINDOW)).abs().square()
        mel: Tensor = mel_filters() @ power.T
        return mel.clamp(min=1e-10).log10()

    def _padded(self, start: int, stop: int) -> Tensor:
        """Samples start…stop of the recording reflected at both ends."""
        inside = self.read(max(start, 0), min(stop, self.samples))
        return torch.from_numpy(np.pad(inside, (max(-start, 0), max(stop - self.samples, 0)), mode="reflect"))


@torch.no_grad()
def encode_speech(encoder: WhisperEncoder, mel: Tensor) -> Tensor:
    """Features (floor(n / 2), 5, 384), float32, of one piece of n ≤ 3000 mel frames, filled up with zeros.

    The five states are the input of the first block and the outputs of the four.
    """
    weight = encoder.conv1.weight
    padded = nn.functional.pad(mel, (0, PIECE - mel.shape[1]))[None]
    states: tuple[Tensor, ...] = encoder(
        padded.to(weight.device, weight.dtype), output_hidden_states=True
    ).hidden_states
    return torch.stack(states, 2)[0, : mel.shape[1] // 2].float()


def chunk_rows(steps: int, fps: float) -> np.ndarray:
    """Encoder steps every video frame hears, (frames, 10) int64: five before, its own and four after,
    clamped.

    There are a few more frames than the recording lasts, as in the official code: chunks are made until one
    starts behind the last step.
    """
    starts = [0]
    while int((len(starts) - 1) * (STEPS_PER_SECOND / fps)) <= steps:
        starts.append(int(len(starts) * STEPS_PER_SECOND / fps))
    return np.clip(np.asarray(starts)[:, None] + np.arange(-4, 6), 0, steps - 1)


class SpeechFeatures:
    """Audio features of every frame of a video;
    ``len()`` is the number of frames the speech gives at ``fps``."""

    def __init__(self, encoder: WhisperEncoder, mel: LogMel, fps: float, keep: int = 3) -> None:
        self.encoder, self.mel = encoder, mel
        self.spans = mel.pieces()
        steps = sum((stop - start) // 2 for start, stop in self.spans)
        self.rows = chunk_rows(steps, fps)
        self.piece = functools.lru_cache(maxsize=keep)(self._piece)

    def __len__(self) -> int:
        return len(self.rows)

    def window(self, frames: Sequence[int]) -> Tensor:
        """Features of the given frames, (n, 50, 384) float32, in the order asked for."""
        return torch.stack([self._frame(self.rows[frame]) for frame in frames])

    def _frame(self, rows: np.ndarray) -> Tensor:
        half = PIECE // 2
        return torch.cat([self.piece(int(row) // half)[int(row) % half] for row in rows])

    def _piece(self, index: int) -> Tensor:
        return encode_speech(self.encoder, self.mel.piece(*self.spans[index]))
