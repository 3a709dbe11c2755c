"""What becomes of the nets' guesses: pauses, wide mouths, and pieces."""

from dataclasses import replace

import numpy as np

from echomimic.arrays import Doubles
from echomimic.motion.speech.articulation import DELAY, ENERGY_AHEAD, Articulator, Stretch
from echomimic.motion.speech.life_model import life_model
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.speech.mouth_model import IS_SPEECH, mouth_model

SPEECH, FRAMES = 3 * FRAME_RATE, 8 * FRAME_RATE
TIME = np.arange(FRAMES) / FRAME_RATE
GUESS = 0.06 + 0.04 * np.sin(2 * np.pi * 2.3 * TIME)


def shown(guess: Doubles = GUESS, pieces: int = 1, stretch: Stretch | None = None) -> Doubles:
    """(FRAMES - DELAY,) openings: guessed throughout, a voice in the first SPEECH frames only."""
    model, known = mouth_model(), life_model().stretch
    articulator = Articulator(model, stretch or known, 1.0, 1.0)
    energy = np.where(np.arange(FRAMES + ENERGY_AHEAD) < SPEECH, 0.8, 0.0).astype(np.float32)
    articulator.hear(energy)
    shapes = (guess[:, None] * known.directions[0]).astype(np.float32)
    cues = np.zeros((FRAMES, 3), np.float32)
    cues[:, IS_SPEECH] = 1
    tracks = []
    for part in np.array_split(np.arange(FRAMES), pieces):
        chance = np.zeros((len(part) - (DELAY if part[0] == 0 else 0), len(model.basis)))
        tracks.append(articulator.push(shapes[part], cues[part], chance)[0])
    return np.asarray(np.concatenate(tracks) @ known.measures[:, 0])


def test_in_a_pause_the_mouth_goes_on_with_what_is_heard_and_then_rests() -> None:
    opening = shown()
    pause = slice(SPEECH + 5, SPEECH + 20)
    assert opening[pause].std() > 0.2 * opening[:SPEECH].std()
    assert opening[pause].mean() > 0.4 * opening[:SPEECH].mean()
    assert np.corrcoef(opening[pause], GUESS[pause])[0, 1] > 0.8
    assert opening[-FRAME_RATE:].max() < 0.03 * opening[:SPEECH].max()


def test_the_pieces_in_which_guesses_come_change_nothing() -> None:
    for pieces in (2, 7, 40):
        np.testing.assert_allclose(shown(pieces=pieces), shown(), atol=1e-7)


def test_mouths_grow_slower_the_wider_they_are() -> None:
    stretch = life_model().stretch
    usual, twice = (shown(size * GUESS)[:SPEECH].max() for size in (1.0, 2.0))
    assert usual < twice < 1.9 * usual
    assert twice < shown(2 * GUESS, stretch=replace(stretch, bend=0.0))[:SPEECH].max()
