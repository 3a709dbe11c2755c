"""The U-Net says what is wrong with its arguments."""

from typing import Any

import pytest
import torch

from echomimic.models.unet import UNet, UNetConfig

SMALL = UNetConfig(channels=(32, 32), layers=1, heads=4, audio_dim=16)


@pytest.fixture(scope="module")
def net() -> UNet:
    return UNet(SMALL).eval().requires_grad_(False)


def call(net: UNet, images: int, **given: Any) -> torch.Tensor:
    made: torch.Tensor = net(torch.zeros(images, 4, 5, 7), torch.tensor(3), **given)
    return made


def test_any_latent_size(net: UNet) -> None:
    for height, width in ((1, 1), (5, 7), (8, 2)):
        x = torch.zeros(2, 4, height, width)
        assert net(x, torch.tensor(3), frames=2).shape == x.shape


@pytest.mark.parametrize(
    ("images", "given", "message"),
    [
        (33, {"frames": 33}, "position table ends at 32: use shorter windows"),
        (5, {"frames": 2}, "5 images cannot be split into clips of 2 frames"),
        (2, {"frames": 2, "unconditional": 2}, "2 unconditional clips asked for, 1 given"),
        (4, {"frames": 2, "unconditional": 1, "audio": torch.zeros(4, 50, 16)}, "audio has 4 rows for 2"),
        (
            4,
            {"frames": 2, "unconditional": 1, "guide": torch.zeros(4, 32, 5, 7)},
            "guide has 4 pictures for 2",
        ),
    ],
)
def test_wrong_sizes_are_named(net: UNet, images: int, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(net, images, **given)


def test_a_net_without_motion_takes_any_number_of_frames() -> None:
    net = UNet(UNetConfig(channels=(32, 32), layers=1, heads=4, audio_dim=None, motion_frames=None))
    assert call(net, 40, frames=40).shape == (40, 4, 5, 7)


def test_position_tables_fill_a_net_built_on_meta() -> None:
    real = UNet(SMALL)
    with torch.device("meta"):
        empty = UNet(SMALL)
    state = {k: v for k, v in real.state_dict().items() if not k.endswith(".pe")}
    empty.load_state_dict(state | empty.position_tables(), strict=True, assign=True)
    assert all(
        torch.equal(a, b)
        for a, b in zip(real.state_dict().values(), empty.state_dict().values(), strict=True)
    )


def test_reference_values_move_together(net: UNet) -> None:
    hidden_states = UNet(SMALL.as_reference()).hidden_states(torch.zeros(1, 4, 4, 4))
    kv = net.project_reference(hidden_states).to(dtype=torch.bfloat16)
    assert {t.dtype for pair in kv.pairs.values() for t in pair} == {torch.bfloat16}
    out = net.to(torch.bfloat16)(torch.zeros(1, 4, 4, 4, dtype=torch.bfloat16), torch.tensor(0), reference=kv)
    assert out.dtype == torch.bfloat16
