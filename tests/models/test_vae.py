"""The autoencoder computes what diffusers' does, whole; in tiles nearly."""

import itertools

import pytest
import torch
from torch import Tensor

from echomimic.models import vae
from tests.parity import fixtures


@pytest.fixture(scope="module")
def net() -> vae.Autoencoder:
    """The recorded cases' small autoencoder."""
    built = vae.build_vae(fixtures.config("v1_vae", "vae"))
    built.load_state_dict(fixtures.state("v1_vae", "vae"))
    return built


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(72, 96), (8, 8), (40, 200)])
def test_it_is_the_one_of_diffusers(net: vae.Autoencoder, size: tuple[int, int]) -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.AutoencoderKL.from_config(fixtures.config("v1_vae", "vae")).eval()
    theirs.load_state_dict(net.state_dict())
    pictures, latents = drawn(2, 3, *size).clamp(-1, 1), drawn(2, 4, size[0] // 8, size[1] // 8)
    with torch.no_grad():
        torch.testing.assert_close(
            net.encode(pictures), theirs.encode(pictures).latent_dist.mean, atol=2e-5, rtol=0
        )
        torch.testing.assert_close(net.decode(latents), theirs.decode(latents).sample, atol=2e-5, rtol=0)


def test_full_size_has_the_official_tensors() -> None:
    with torch.device("meta"):
        built = vae.build_vae()
    official = {key: tuple(shape) for key, shape in fixtures.shapes("full/vae").items()}
    assert {key: tuple(value.shape) for key, value in built.state_dict().items()} == official


@pytest.mark.parametrize(("side", "tile", "seam"), [(5, 8, 2), (8, 8, 2), (9, 8, 2), (50, 8, 2), (64, 32, 8)])
def test_tiles_cover_everything_and_overlap(side: int, tile: int, seam: int) -> None:
    found = vae.starts(side, tile, seam)
    assert found[0] == 0
    assert found[-1] + tile >= side
    assert all(a + tile - b >= seam for a, b in itertools.pairwise(found))
    assert all(start + tile <= side for start in found) or len(found) == 1


def test_what_looks_at_single_pixels_is_the_same_in_tiles() -> None:
    x = drawn(2, 4, 75, 40)
    doubled = vae.tilewise(lambda part: part.repeat_interleave(2, 2).repeat_interleave(2, 3), x, 32, 8, 2)
    torch.testing.assert_close(doubled, x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    shrunk = vae.tilewise(lambda part: part[:, :, ::8, ::8], drawn(1, 3, 640, 400), 256, 64, 1 / 8)
    torch.testing.assert_close(shrunk, drawn(1, 3, 640, 400)[:, :, ::8, ::8])


def test_tiles_change_little_of_a_picture_and_nothing_of_a_small_one(net: vae.Autoencoder) -> None:
    small, large = drawn(1, 4, 20, 32), drawn(1, 4, 60, 40)
    whole = [vae.decode(net, z) for z in (small, large)]
    net.tiled = True
    try:
        small_again, large_again = (vae.decode(net, z) for z in (small, large))
    finally:
        net.tiled = False
    torch.testing.assert_close(small_again, whole[0], atol=1e-6, rtol=0)
    assert float((large_again - whole[1]).abs().mean()) < 0.3 * float(whole[1].std())
