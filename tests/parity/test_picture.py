"""Group k: pictures going in and coming out, as the official pipelines convert them."""

import numpy as np
import pytest
import torch

from echomimic.diffusion.pictures import to_picture, to_tensor
from tests.parity import fixtures


@pytest.mark.parametrize("name", ["v1_vae", "v2_vae"])
def test_conversions_are_official(name: str) -> None:
    stored = fixtures.arrays(name)
    same, resized = to_tensor(stored["image_a"], 48, 40), to_tensor(stored["image_b"], 50, 64)
    np.testing.assert_allclose(same.numpy(), stored["pre_same"], atol=1e-6)
    np.testing.assert_allclose(resized.numpy(), stored["pre_resized"], atol=1e-6)
    video = torch.from_numpy(stored["video"])[0].transpose(0, 1)
    frames = np.stack([to_picture(frame[None]) for frame in video])
    assert np.array_equal(frames, stored["frames_uint8"])
