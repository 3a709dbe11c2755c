from pathlib import Path

import numpy as np
import pytest

from echomimic.errors import WeightsError
from echomimic.motion.speech import log_mel as mel
from echomimic.motion.speech import mouth_model as mouth
from tests.motion.sounds import vowels


def outputs(seconds: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    sound = vowels(seconds)
    return mouth.mouth_model()(sound, int(seconds * 25), mel.measure(sound))


def test_the_shipped_net_gives_a_shape_and_cues_per_frame() -> None:
    shapes, cues = outputs(2.0)
    model = mouth.mouth_model()
    assert shapes.shape == (50, len(model.basis))
    assert cues.shape == (50, 3)
    assert cues.min() >= 0
    assert cues[:, [mouth.PRESSED, mouth.TUCKED]].sum(1).max() <= 1 + 1e-5
    assert cues[:, mouth.IS_SPEECH].max() <= 1


def test_results_do_not_depend_on_how_the_speech_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = outputs()
    monkeypatch.setattr(mouth, "FRAMES_AT_ONCE", 40)
    for piece, all_at_once in zip(outputs(), whole, strict=True):
        np.testing.assert_allclose(piece, all_at_once, atol=2e-4)


def test_convolution_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(0)
    x, weight = (
        rng.standard_normal((20, 3)).astype(np.float32),
        rng.standard_normal((2, 3, 4)).astype(np.float32),
    )
    got = mouth.Conv(weight, np.ones(2, np.float32), stride=2, padding=(1, 1))(x)
    padded = np.pad(x, ((1, 1), (0, 0)))
    for t in (0, 4, 9):
        expected = 1 + np.einsum("oik,ki->o", weight, padded[2 * t : 2 * t + 4])
        np.testing.assert_allclose(got[t], expected, rtol=1e-5)
    assert len(got) == 10


def test_the_basis_leaves_eyes_and_forehead_alone() -> None:
    moved = np.abs(mouth.mouth_model().basis).max((0, 2))
    assert moved[[33, 133, 263, 362, 10, 151, 168]].max() < 0.02 * moved[[13, 14, 17]].max()


def test_the_basis_is_symmetric() -> None:
    basis = mouth.mouth_model().basis
    np.testing.assert_allclose(basis[:, 61] * [-1, 1, 1], basis[:, 291], atol=2e-3)


def test_missing_or_foreign_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"mouth\.safetensors"):
        mouth.load_mouth(tmp_path / "mouth.safetensors")
    wrong = tmp_path / "other.safetensors"
    wrong.write_bytes(b"not weights")
    with pytest.raises(WeightsError, match=r"other\.safetensors"):
        mouth.load_mouth(wrong)
