"""The CPU's own forms of convolutions, linear layers and attention give what PyTorch's do."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echomimic.models import kernels


def error(got: Tensor, exact: Tensor) -> float:
    """Root mean square of the difference, relative to the exact values."""
    return float((got.float() - exact).square().mean().sqrt() / exact.square().mean().sqrt())


@pytest.mark.parametrize("shape", [(64, 24), (2, 5, 64, 24), (3, 7, 24), (128, 24)])
def test_linear(shape: tuple[int, ...]) -> None:
    layer = kernels.Linear(24, 40).requires_grad_(False)
    x = torch.randn(shape)
    assert torch.allclose(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-5)
    turned = x.transpose(0, -2)
    assert torch.allclose(layer(turned), F.linear(turned, layer.weight, layer.bias), atol=1e-5)


@pytest.mark.parametrize(
    ("images", "before", "after", "height", "width"),
    [(1, 8, 8, 1, 1), (3, 32, 48, 7, 10), (2, 16, 8, 2, 1200), (5, 24, 16, 70, 33), (40, 8, 8, 6, 6)],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_winograd(
    images: int, before: int, after: int, height: int, width: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    layer = kernels.Conv3x3(before, after).requires_grad_(False)
    x = torch.randn(images, before, height, width).contiguous(memory_format=layout)
    exact = (
        F.conv2d(x.double(), layer.weight.double(), None, padding=1)
        + torch.as_tensor(layer.bias)[:, None, None]
    )
    half = F.conv2d(x.bfloat16(), layer.weight.bfloat16(), torch.as_tensor(layer.bias).bfloat16(), padding=1)
    with torch.no_grad():
        assert error(layer(x), exact.float()) < 1e-6
        assert error(layer.bfloat16()(x.bfloat16()), exact.float()) < 4 * error(half, exact.float())


def test_convolution_with_gradients_is_pytorchs() -> None:
    layer, x = kernels.Conv3x3(8, 4), torch.randn(1, 8, 6, 6)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    with torch.no_grad():
        assert torch.allclose(layer(x), nn.Conv2d.forward(layer, x), atol=1e-5)


@pytest.mark.parametrize(
    ("images", "queries", "keys", "width"), [(3, 70, 513, 5), (1, 700, 2048, 40), (2, 33, 700, 16)]
)
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_blockwise_attention(images: int, queries: int, keys: int, width: int, scale: float) -> None:
    torch.manual_seed(0)
    q, k = scale * torch.randn(images, queries, 3 * width), scale * torch.randn(images, keys, 3 * width)
    v = torch.randn(images, keys, 3 * width)
    q, k, v = (t.bfloat16() for t in (q, k, v))
    exact = kernels.attend(q.float(), k.float(), v.float(), heads=3)
    got = kernels.attend(q, k, v, heads=3)
    heads = [t.view(images, -1, 3, width).transpose(1, 2) for t in (q, k, v)]
    fused = F.scaled_dot_product_attention(heads[0], heads[1], heads[2]).transpose(1, 2).flatten(2)
    assert got.shape == exact.shape
    assert error(got, exact) < max(0.02, 4 * error(fused, exact))


@pytest.mark.parametrize("winner", [5, 32])
def test_logits_far_apart_do_not_overflow(winner: int) -> None:
    q, v = torch.full((1, 64, 8), 10.0, dtype=torch.bfloat16), torch.randn(1, 600, 8).bfloat16()
    k = torch.zeros(1, 600, 8, dtype=torch.bfloat16)
    k[:, winner] = 10.0
    assert torch.allclose(kernels.attend(q, k, v, heads=1), v[:, winner : winner + 1], rtol=0.01)


def test_portions_cover_everything_once() -> None:
    x = torch.zeros(1)
    assert kernels.portions(x, 7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert kernels.portions(x, 2, 0) == [slice(0, 1), slice(1, 2)]
    assert kernels.portions(x, 0, 4) == []
    assert kernels.portions(torch.zeros(1, device="meta"), 7, 3) == [slice(0, 7)]
