import numpy as np
import pytest

from echomimic.motion.speech import log_mel as mel
from tests.motion.sounds import RATE, Sound, silence, vowels


def test_a_tone_lights_its_own_band_at_its_own_time() -> None:
    wave = np.zeros(RATE, np.float32)
    wave[8000:12000] = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(4000) / RATE)
    picture = mel.log_mel(Sound(wave), 0, 100)
    band = int(np.argmax(mel.filters()[:, 32]))
    assert picture[60].argmax() == band
    loud = np.flatnonzero(picture[:, band] > picture[60, band] - 1)
    assert abs(loud[0] - 50) <= 1
    assert abs(loud[-1] - 75) <= 1


def test_columns_do_not_depend_on_where_the_speech_is_cut() -> None:
    sound = vowels(2.0)
    whole = mel.log_mel(sound, -5, 210)
    parts = np.concatenate([mel.log_mel(sound, -5, 77), mel.log_mel(sound, 77, 210)])
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_loudness_does_not_change_what_the_net_hears() -> None:
    sound = vowels(2.0)
    quiet = Sound(sound.wave * np.float32(0.01))
    levels = [mel.measure(s) for s in (sound, quiet)]
    heard = [
        mel.normalise(mel.log_mel(s, 0, 200, v.gain), v) for s, v in zip((sound, quiet), levels, strict=True)
    ]
    assert np.abs(heard[0] - heard[1]).mean() < 0.02


def test_the_level_is_measured_in_chunks_as_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = vowels(3.0)
    whole = mel.measure(sound)
    monkeypatch.setattr(mel, "CHUNK", 40)
    pieces = mel.measure(sound)
    assert abs(pieces.level - whole.level) < 1e-4
    np.testing.assert_allclose(pieces.tilt, whole.tilt, atol=1e-4)


def test_silence_has_no_activity_and_no_nan() -> None:
    level = mel.measure(silence(1.0))
    heard = mel.normalise(mel.log_mel(silence(1.0), 0, 100), level)
    assert np.isfinite(heard).all()
