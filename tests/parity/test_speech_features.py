"""Group b: log-mel, encoder states and the rows every video frame hears."""

import numpy as np
import pytest

from echomimic.models import audio
from tests.parity import fixtures, nets


def recording(name: str) -> np.ndarray:
    short = fixtures.arrays("audio_load")["short_24k_mono"]
    pcm = short if name == "whisper_short" else fixtures.samples("long_16k_mono.wav")
    return pcm.astype(np.float32) / 32768


@pytest.mark.parametrize(
    ("name", "mel_slice", "feature_slice"),
    [
        ("whisper_short", np.s_[:, :], np.s_[::5, :, ::8]),
        ("whisper_long", np.s_[::4, ::50], np.s_[::50, :, ::8]),
    ],
)
def test_features(name: str, mel_slice: tuple[slice, ...], feature_slice: tuple[slice, ...]) -> None:
    case, expected, sound = fixtures.case(name), fixtures.arrays(name), recording(name)
    log_mel = audio.LogMel(lambda a, b: sound[a:b], len(sound))
    pieces, encoder = [log_mel.piece(*span) for span in log_mel.pieces()], nets.whisper()
    assert [list(span) for span in log_mel.pieces()] == case["info"]["segments"]
    assert np.abs(np.concatenate(pieces, 1)[mel_slice] - expected["mel_s"]).max() < case["mel_atol"]
    features = np.concatenate([audio.encode_speech(encoder, piece) for piece in pieces])
    assert list(features.shape) == case["info"]["feature_shape"]
    assert np.abs(features[feature_slice] - expected["features_s"]).max() < case["atol"]
    blocks = np.stack([features[i : i + 50] for i in range(0, len(features), 50)])
    stats = np.stack([blocks.mean((1, 3)), blocks.std((1, 3)), np.abs(blocks).max((1, 3))], -1)
    assert np.abs(stats - expected["feature_stats"]).max() < case["atol"]
    for fps, shape in case["info"]["chunks"].items():
        rows = audio.chunk_rows(len(features), float(fps))
        assert len(rows) == shape[0]
        assert np.array_equal(rows, expected[f"chunk_rows_fps{fps}"])
    speech = audio.SpeechFeatures(encoder, log_mel, 24)
    ends = speech.window([0, len(speech) - 1])[:, :, ::8].numpy()
    assert np.abs(ends - np.stack([expected["chunk24_first"], expected["chunk24_last"]])).max() < case["atol"]


def test_chunk_counts() -> None:
    for steps, rates in fixtures.case("whisper_chunk_counts")["lengths"].items():
        for fps, expected in rates.items():
            rows = audio.chunk_rows(int(steps), float(fps))
            got = {"count": len(rows), "first": rows[0].tolist(), "last": rows[-1].tolist()}
            assert got == expected


def test_mel_filters() -> None:
    assert np.abs(audio.mel_filters().numpy() - fixtures.arrays("whisper_short")["mel_filters"]).max() < 1e-7
