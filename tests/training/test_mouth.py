from pathlib import Path

import numpy as np
import torch

from echomimic.motion.speech.log_mel import measure
from echomimic.motion.speech.mouth_model import load_mouth
from training.basis import Basis, fit_basis, symmetric
from training.data import Clip, Recordings, folds, realign
from training.mouth import Recipe, export, new_net
from training.phones import PHONES, labels

SMALL = Recipe(nets=2, width=16, coefficients=4)


class Noise:
    """A second of sound."""

    samples = 16000

    def read(self, start: int, stop: int) -> np.ndarray:
        wave = 0.1 * np.random.default_rng(0).standard_normal(self.samples).astype(np.float32)
        at = np.arange(start, stop)
        return np.where((at >= 0) & (at < self.samples), wave[at.clip(0, self.samples - 1)], 0).astype(
            np.float32
        )


def clips(count: int = 6, frames: int = 40) -> Recordings:
    rng = np.random.default_rng(0)
    mean = rng.uniform(-0.5, 0.5, (468, 3)).astype(np.float32) - np.array([0, 0.8, 0], np.float32)
    mean[1::2] = mean[::2] * [-1, 1, 1]
    made = []
    for i in range(count):
        shape = (0.1 * rng.standard_normal((frames, 468, 3))).astype(np.float32)
        turn = np.tile(np.eye(3, dtype=np.float32), (frames, 1, 1))
        mel = rng.standard_normal((4 * frames, 80)).astype(np.float32)
        still, lid = np.zeros((frames, 2), np.float32), np.ones(frames, np.float32)
        made.append(Clip(f"clip {i}", f"person {i // 2}", "real", "a/b", shape, mel, turn, still, still, lid))
    return Recordings(made, mean, np.roll(np.arange(468).reshape(-1, 2), 1, axis=1).ravel())


def test_numpy_runs_the_net_that_torch_trained(tmp_path: Path) -> None:
    torch.manual_seed(0)
    nets = [new_net(SMALL).eval() for _ in range(2)]
    basis = Basis(np.zeros((4, 468, 3), np.float32), np.zeros((4, 468, 3), np.float32))
    export(nets, basis, np.ones(4, np.float32), SMALL, tmp_path / "mouth.safetensors")
    mel = np.random.default_rng(1).standard_normal((80, 80)).astype(np.float32)
    with torch.no_grad():
        heard = torch.from_numpy(mel)[None]
        shape, phone = nets[1](heard)[0].numpy(), torch.softmax(nets[1].phones(heard)[0], 1).numpy()
    ours = load_mouth(tmp_path / "mouth.safetensors").nets[1](mel)
    np.testing.assert_allclose(ours[0], shape, atol=3e-2)
    assert ours[1] is not None
    np.testing.assert_allclose(ours[1], phone, atol=3e-3)


def test_a_net_that_was_taught_no_phones_only_moves_the_mouth(tmp_path: Path) -> None:
    torch.manual_seed(0)
    nets = [new_net(SMALL).eval(), new_net(SMALL, phones=0).eval()]
    basis = Basis(np.zeros((4, 468, 3), np.float32), np.zeros((4, 468, 3), np.float32))
    for count in (1, 2):
        export(nets[:count], basis, np.ones(4, np.float32), SMALL, tmp_path / f"{count}.safetensors")
    sound = Noise()
    alone, both = (
        load_mouth(tmp_path / f"{count}.safetensors")(sound, 20, measure(sound)) for count in (1, 2)
    )
    np.testing.assert_array_equal(alone[1], both[1])
    assert np.abs(alone[0] - both[0]).max() > 1e-3


def test_the_basis_gives_back_symmetric_mouths() -> None:
    recordings = clips()
    basis = fit_basis(recordings.clips, recordings, 8)
    coefficients = np.random.default_rng(2).standard_normal((5, 8)).astype(np.float32)
    shape = basis.write(coefficients)
    np.testing.assert_allclose(basis.read(shape), coefficients, atol=1e-3)
    np.testing.assert_allclose(symmetric(shape, recordings), shape, atol=1e-5)


def test_no_person_is_in_two_folds() -> None:
    groups = folds(clips().clips, 3)
    assert sum(len(group) for group in groups) == len(set().union(*groups)) == 3


def test_realigning_moves_the_sound_and_holds_its_end() -> None:
    mel = np.arange(40, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(realign(mel, 2)[:, 0], [0] * 8 + list(range(32)))
    np.testing.assert_array_equal(realign(mel, -1)[:, 0], [*range(4, 40), *[39] * 4])


def test_phone_times_become_shares_of_frames() -> None:
    found = labels("pau:0.04 m:0.10 aa:0.16", 24)
    assert found.shape == (6, 41)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(found[2, [PHONES.index("m"), PHONES.index("aa")]], [0.5, 0.5])
