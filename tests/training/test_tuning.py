import numpy as np

from training.spectra import BINS, WINDOW
from training.tuning import OPENING, SEEN, WIDTH, habits, turned


def walk(number: int, lean: float = 0.0) -> np.ndarray:
    """A track whose brow goes with the width of the mouth, and against it if `lean` is negative."""
    rng = np.random.default_rng(number)
    track = rng.standard_normal((3 * WINDOW, SEEN))
    track[:, 5] += lean * track[:, WIDTH]
    return np.asarray(track)


TIED = habits([walk(i, -1.0) for i in range(12)])
FREE = habits([walk(i) for i in range(20, 32)])


def test_habits_tell_how_channels_go_together_and_lean() -> None:
    assert abs(TIED.going[5, WIDTH] + 0.71) < 0.05
    assert abs(FREE.going[5, WIDTH]) < 0.1
    np.testing.assert_allclose(np.diag(TIED.going), 1, atol=0.02)
    assert np.abs(FREE.lean).max() < 0.1
    skewed = habits([np.exp(walk(i)) for i in range(6)])
    assert (skewed.lean > 0.8).all()


def test_what_is_lacking_in_coherence_is_asked_of_the_process_but_not_of_the_opening() -> None:
    free = np.tile(np.eye(SEEN + 2, dtype=complex), (BINS, 1, 1))
    asked = turned(free, TIED, FREE)
    assert (asked[:, 5, WIDTH].real < -0.2).all()
    assert np.abs(np.delete(asked[:, OPENING], OPENING, 1)).max() < 1e-9
    np.testing.assert_allclose(np.einsum("bii->bi", asked), 1, atol=1e-9)
    np.testing.assert_allclose(asked, asked.conj().transpose(0, 2, 1), atol=1e-9)
    for _ in range(9):
        asked = turned(asked, TIED, FREE)
    assert np.linalg.eigvalsh(asked).min() > 0, "asked too often, a coherence must stay one"
