"""Rooms, music and tones: the mouth moves for the voice and for nothing else."""

import numpy as np
import pytest

from echomimic.arrays import Doubles, Floats
from echomimic.motion.performance import join
from echomimic.motion.speech import log_mel as mel
from echomimic.motion.speech.mouth_model import mouth_model
from echomimic.motion.speech.performance_from_speech import perform
from echomimic.motion.speech.stepper import Stepper
from tests.motion.sounds import RATE, Sound, vowels

SECONDS = 5
VOICE = vowels(SECONDS, syllables=3.0).wave


def opening(wave: Floats, way: str) -> Doubles:
    """The last three seconds, when a running level knows the room."""
    if way == "whole":
        made = perform(Sound(wave), 25 * SECONDS, 25.0)
    else:
        stepper = Stepper()
        made = join([stepper.push(wave), stepper.end()])
    return np.asarray(made.expression @ mouth_model().gap, np.float64)[50:]


def hiss(decibels: float) -> Floats:
    """White noise so far below the voice."""
    noise = np.random.default_rng(0).standard_normal(len(VOICE))
    return np.asarray(noise * VOICE.std() * 10 ** (-decibels / 20), np.float32)


def chords() -> Floats:
    """A new chord with overtones every half second."""
    time = np.arange(SECONDS * RATE) / RATE
    root = 220 * 2 ** (np.array([0, 5, 7, 9])[(2 * time).astype(int) % 4] / 12)
    fade = np.exp(-3 * (2 * time % 1.0))
    parts = (
        np.sin(2 * np.pi * np.cumsum(root * k * r) / RATE) / k for k in (1, 2, 3) for r in (1, 1.25, 1.5)
    )
    return np.asarray(0.05 * fade * sum(parts), np.float32)


@pytest.mark.parametrize(("way", "share"), [("whole", 0.8), ("live", 0.6)])
def test_noise_leaves_the_mouth_most_of_its_motion(way: str, share: float) -> None:
    clean = opening(VOICE, way)
    noisy = opening(VOICE + hiss(10), way)
    assert noisy.std() > share * clean.std()
    assert np.corrcoef(noisy, clean)[0, 1] > 0.6


@pytest.mark.parametrize("way", ["whole", "live"])
def test_music_tones_and_noise_alone_do_not_move_the_mouth(way: str) -> None:
    spoken = opening(VOICE, way).std()
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(len(VOICE)) / RATE)
    for sound in (chords(), tone.astype(np.float32), hiss(0)):
        assert opening(sound, way).std() < 0.05 * spoken


def test_a_voice_in_noise_is_muffled_and_a_clean_one_is_not() -> None:
    assert mel.measure(Sound(VOICE)).muffled == 0
    assert mel.measure(Sound(VOICE + hiss(10))).muffled > 0.5


def test_what_is_heard_in_pauses_is_taken_out_of_the_rest() -> None:
    level = mel.measure(Sound(VOICE + hiss(10)))
    noise = mel.log_mel(Sound(hiss(10)), 0, 100, level.gain)
    subtract_noise = mel.subtract_noise(noise, level)
    assert subtract_noise.mean() < noise.mean() - 2
    loud = noise + np.float32(8)
    np.testing.assert_allclose(mel.subtract_noise(loud, level), loud, atol=0.02)
