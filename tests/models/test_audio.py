"""Speech features of recordings the official fixtures do not cover."""

import numpy as np
import pytest
import torch

from echomimic.errors import SpeechError
from echomimic.models import audio, keymaps
from tests.parity import nets


def log_mel(sound: np.ndarray) -> audio.LogMel:
    return audio.LogMel(lambda start, stop: sound[start:stop], len(sound))


def test_too_short_a_recording_says_so() -> None:
    with pytest.raises(SpeechError, match=r"lasts 0\.020 s: give at least 0\.02 s"):
        log_mel(np.zeros(319, np.float32))


def test_the_shortest_recording_works() -> None:
    features = audio.SpeechFeatures(nets.whisper(), log_mel(np.zeros(320, np.float32)), 25)
    assert features.window(range(len(features))).shape == (2, 50, 384)


def test_pieces_are_encoded_when_needed_and_the_newest_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []

    def fake(_encoder: object, mel: torch.Tensor) -> torch.Tensor:
        encoded.append(mel.shape[1])
        return torch.zeros(mel.shape[1] // 2, 5, 384)

    monkeypatch.setattr(audio, "encode_speech", fake)
    features = audio.SpeechFeatures(nets.whisper(), log_mel(np.zeros(16_000 * 100, np.float32)), 24)
    assert encoded == []
    features.window([0, 1, 2])
    features.window([720, 1440])
    features.window([0, 1])
    assert encoded == [3000, 3000, 3000]
    features.window([2399, 0])
    assert encoded == [3000, 3000, 3000, 1000]


def test_levels_are_relative_to_the_loudest_moment_of_the_whole_recording() -> None:
    sound = np.zeros(16_000 * 33, np.float32)
    quiet = log_mel(sound[: 16_000 * 32])
    sound[16_000 * 31 : 16_000 * 32] = np.sin(np.arange(16_000) * 0.4)
    mel = log_mel(sound)
    loudest = float(mel.piece(3000, 3300).max())
    assert float(mel.piece(0, 3000).min()) == pytest.approx(loudest - 2)
    assert float(quiet.piece(0, 3000).min()) == pytest.approx(-1.5), "silence is 1e-10, whatever the rest is"
    assert loudest > 0.5


def test_weights_load_from_both_published_files() -> None:
    encoder = nets.whisper()
    state = encoder.state_dict()
    huggingface = {f"model.encoder.{k}": v for k, v in state.items()}
    extra = {
        "model.encoder.layer_norm.weight": torch.ones(1),
        "model.decoder.layers.0.fc1.bias": torch.ones(1),
    }
    assert keymaps.whisper_names(huggingface | extra).keys() == state.keys()
