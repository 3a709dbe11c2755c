"""Group k: the autoencoder's scaling and both spellings of its file."""

import numpy as np
import pytest
import torch

from echomimic.models import keymaps, vae
from tests.parity import fixtures, nets


@pytest.mark.parametrize("name", fixtures.ids("k"))
def test_encode_and_decode(name: str) -> None:
    case, recorded = fixtures.case(name), fixtures.arrays(name)
    net = nets.autoencoder(case)
    latent = vae.encode(net, torch.from_numpy(recorded["pre_same"]))
    assert np.abs(latent.numpy() - recorded["latent_scaled"]).max() < case["atol"]
    pictures = vae.decode(net, nets.fold(fixtures.tensors(case)["latents"]))
    assert np.abs(nets.unfold(pictures, 3).numpy() - recorded["video"]).max() < case["atol"]


@pytest.mark.parametrize("spelling", ["vae", "vae_old_names"])
@pytest.mark.parametrize("convolutions", [False, True])
def test_both_published_spellings_load_strictly(spelling: str, convolutions: bool) -> None:
    with torch.device("meta"):
        net = vae.build_vae()
        state = {key: torch.empty(shape) for key, shape in fixtures.shapes(f"full/{spelling}").items()}
    if convolutions:
        state = {
            k: v[..., None, None] if ".attentions." in k and v.ndim == 2 else v for k, v in state.items()
        }
    net.load_state_dict(nets.renamed(keymaps.vae_names(state), state, net), strict=True, assign=True)
