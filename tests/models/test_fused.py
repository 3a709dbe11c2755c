"""What is fused on a GPU is right, without one: Triton's kernels in its interpreter, the nets around them.

The plain forms are tested by the same cases; Triton's where it is installed.
"""

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from echomimic.models import kernels, vae
from echomimic.models.kernels import forms, norms, softmax
from echomimic.models.unet import Context, DownStage, ReferenceKV, UNet, UNetConfig
from tests.parity import fixtures

LAST = torch.channels_last
SMALL = UNetConfig(channels=(32, 64), layers=1, heads=4, audio_dim=16)


@pytest.fixture(scope="module")
def triton() -> Any:
    """Triton's forms, interpreted on the CPU."""
    pytest.importorskip("triton", reason="triton is not installed: its kernels cannot be interpreted")
    from echomimic.models.kernels.triton_forms import TritonForms

    return TritonForms


@pytest.fixture(params=["plain", "triton"])
def form(request: pytest.FixtureRequest) -> Any:
    """Where the operations are: PyTorch's beside their contracts, or Triton's."""
    return PLAIN if request.param == "plain" else request.getfixturevalue("triton")


PLAIN = ModuleType("plain")
for _module, _names in (
    (norms, ("group_norm", "add_layer_norm", "geglu")),
    (softmax, ("merge_attentions", "attend_frames")),
):
    for _name in _names:
        setattr(PLAIN, _name, getattr(_module, _name))


def image(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape).to(dtype).contiguous(memory_format=LAST)


def close(got: Tensor, exact: Tensor) -> bool:
    """Within the rounding of the format, for values of about one."""
    tolerance = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}[got.dtype]
    scale = float(exact.abs().max())
    return got.shape == exact.shape and float((got.double() - exact).abs().max()) < tolerance * max(1, scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(
    ("channels", "skip", "groups", "size"),
    [
        (32, 0, 2, (1, 1)),
        (24, 0, 8, (5, 7)),
        (40, 24, 8, (3, 50)),
        (96, 0, 6, (20, 17)),
        (72, 136, 4, (4, 4)),
    ],
)
@pytest.mark.parametrize("given", ["nothing", "add", "bias", "add and bias"])
def test_group_norm(
    form: Any, channels: int, skip: int, groups: int, size: tuple[int, int], given: str, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    x, add = image(2, channels, *size, dtype=dtype), image(2, channels, *size, dtype=dtype)
    offset, more = torch.randn(channels).to(dtype), image(2, skip, *size, dtype=dtype) if skip else None
    weight, bias = (torch.randn(channels + skip).to(dtype) for _ in range(2))
    want = x.double() + (add if "add" in given else 0) + (offset[:, None, None] if "bias" in given else 0)
    want = want if more is None else torch.cat([want, more.double()], 1)
    total, normed = form.group_norm(
        x, add if "add" in given else None, offset if "bias" in given else None, more, weight, bias, groups,
        1e-6, True,
    )  # fmt: skip
    assert given == "bias" or close(total, want)
    want = F.silu(F.group_norm(want, groups, weight.double(), bias.double(), 1e-6))
    assert close(normed, want)


def test_group_norm_of_values_far_from_zero(triton: Any) -> None:
    """The mean square minus the square of the mean would be off by a half here, as PyTorch's is on a CPU."""
    x = 1000 + image(1, 8, 40, 40)
    _, normed = triton.group_norm(x, None, None, None, torch.ones(8), torch.zeros(8), 2, 1e-6, False)
    want = F.group_norm(x.double(), 2, eps=1e-6)
    assert float((normed - want).abs().max()) < 1e-3


def test_group_norm_of_half_precision_sums_in_float32(form: Any) -> None:
    x = (60 * image(1, 8, 64, 64)).half()
    _, normed = form.group_norm(x, x, None, None, torch.ones(8).half(), torch.zeros(8).half(), 1, 1e-6, False)
    assert close(normed, F.group_norm(2 * x.double(), 1, eps=1e-6))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(("channels", "tokens"), [(32, 5), (40, 67), (320, 3)])
@pytest.mark.parametrize("gain", [1.0, 3.0])
@pytest.mark.parametrize(("first", "wanted"), [(0, 0), (2, 0), (2, 2), (4, 0), (0, 2)])
@pytest.mark.parametrize("after", [False, True])
def test_layer_norm_behind_an_addition(
    form: Any,
    channels: int,
    tokens: int,
    gain: float,
    first: int,
    wanted: int,
    after: bool,
    dtype: torch.dtype,
) -> None:
    torch.manual_seed(0)
    x, add = (torch.randn(4, tokens, channels).to(dtype) for _ in range(2))
    constant, weight, bias = (torch.randn(channels).to(dtype) for _ in range(3))
    table = torch.randn(2, channels).to(dtype) if after else None
    want = x.double()
    want[:first] += gain * constant.double()
    want[first:] += gain * add[first:].double()
    total, normed = form.add_layer_norm(
        x, None if first == 4 else add[first:], constant if first else None, weight, bias, table, 1e-5, gain,
        first, wanted,
    )  # fmt: skip
    assert close(total, want)
    want = F.layer_norm(want[wanted:], (channels,), weight.double(), bias.double())
    assert close(normed, want if table is None else want + table.double().repeat(len(want) // 2, 1)[:, None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("shape", [(3, 5, 16), (33, 2 * 300), (1, 2)])
def test_gate(form: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = (3 * torch.randn(shape)).to(dtype)
    value, gate = x.double().chunk(2, -1)
    assert close(form.geglu(x), value * F.gelu(gate))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(
    ("frames", "width", "heads"), [(12, 40, 2), (3, 4, 4), (17, 8, 1), (1, 24, 2), (32, 16, 2)]
)
@pytest.mark.parametrize("together", [False, True])
def test_attention_over_frames(
    form: Any, frames: int, width: int, heads: int, together: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    channels = heads * width
    q, k, v = torch.split(torch.randn(2 * frames, 3, 3 * channels).to(dtype), channels, -1)
    if not together:
        q, k, v = (t.contiguous() for t in (q, k, v))
    clips = [t.double().view(2, frames, 3, heads, width).permute(0, 2, 3, 1, 4) for t in (q, k, v)]
    want = (clips[0] @ clips[1].transpose(-1, -2) / width**0.5).softmax(-1) @ clips[2]
    want = want.permute(0, 3, 1, 2, 4).reshape(q.shape)
    assert close(form.attend_frames(q, k, v, heads, frames), want)


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_merging_two_attentions_is_one_over_both(form: Any, first: int, scale: float) -> None:
    torch.manual_seed(0)
    q, k, v = (scale * torch.randn(4, 2, 33, 8) for _ in range(3))
    far_k, far_v = scale * torch.randn(2, 2, 19, 8)[:, None]

    def seen(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        scores = q.double() @ k.double().transpose(-1, -2) / 8**0.5
        out = (scores.softmax(-1) @ v.double()).transpose(1, 2).flatten(2)
        return out, scores.logsumexp(-1)

    (own, own_weight), (far, far_weight) = seen(q, k, v), seen(q[first:], far_k, far_v)
    both = (torch.cat([k, far_k.expand(4, -1, -1, -1)], 2), torch.cat([v, far_v.expand(4, -1, -1, -1)], 2))
    want = torch.cat([own[:first], seen(q[first:], *(t[first:] for t in both))[0]])
    got = form.merge_attentions(own.float(), own_weight.float(), far.float(), far_weight.float(), 2, first)
    assert close(got, want)


@pytest.mark.parametrize("uncond", [0, 1, 3])
def test_reference_by_itself_is_reference_beside_own(uncond: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the CPU's kernel, which tells its weights as those of CUDA do."""
    torch.manual_seed(0)
    q, k, v = torch.split(torch.randn(3, 21, 96), 32, -1)
    extra = torch.randn(1, 17, 32), torch.randn(1, 17, 32)
    want = kernels.attend(q, k, v, 4, extra, uncond)
    joined: list[Tensor] = []
    monkeypatch.setattr(torch, "cat", lambda parts, dim=0: joined.extend(parts))
    monkeypatch.setattr(forms, "form_for", lambda x: "fused")
    monkeypatch.setattr(forms, "COMPARED", 0)
    monkeypatch.setattr(forms, "_triton", lambda: PLAIN)
    monkeypatch.setattr(PLAIN, "merge_attentions", merge_without_cat)
    assert close(kernels.attend(q, k, v, 4, extra, uncond), want.double())
    assert not joined


def merge_without_cat(
    own: Tensor, own_weight: Tensor, far: Tensor, far_weight: Tensor, heads: int, first: int
) -> Tensor:
    share = torch.sigmoid(own_weight[first:] - far_weight).transpose(1, 2).repeat_interleave(8, -1)
    own[first:] = torch.lerp(far, own[first:], share)
    return own


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Tensors of the CPU go the way those of a GPU go, with the operations of the module that is given."""

    def go(operations: Any) -> None:
        monkeypatch.setattr(forms, "form_for", lambda x: "fused")
        monkeypatch.setattr(forms, "_triton", lambda: operations)
        monkeypatch.setattr(forms, "_broken", set())
        monkeypatch.setattr(forms, "_proved", set())

    return go


DIRECT = ModuleType("direct")
"""The plain forms without the question which form to take."""
for _name in ("group_norm", "add_layer_norm", "geglu", "merge_attentions", "attend_frames"):
    setattr(DIRECT, _name, getattr(PLAIN, _name).__wrapped__)


def window(net: UNet, **given: Any) -> Callable[[], Tensor]:
    torch.manual_seed(1)
    x, audio, guide = torch.randn(6, 4, 4, 6), torch.randn(3, 5, 16), torch.randn(1, 32, 4, 6)
    hidden_states = {
        n: torch.randn(1, 24, block.proj_in.in_channels) for n, block in net.spatial_transformers()
    }
    reference, t = net.project_reference(hidden_states), torch.tensor(300)
    given = {"audio": audio, "guide": guide, "reference": reference, "unconditional": 1, "frames": 3} | given
    return lambda: net(x, t, **given)


@pytest.mark.parametrize(
    "given",
    [{}, {"unconditional": 2, "audio": None, "guide": None}, {"audio": None}, {"reference": None}],
    ids=["guided", "unconditional", "deaf", "no reference"],
)
def test_a_window_goes_the_fused_way(given: dict[str, Any], on_a_gpu: Callable[[Any], None]) -> None:
    torch.manual_seed(0)
    net = UNet(SMALL).requires_grad_(False)
    run = window(net, **given)
    want = run()
    on_a_gpu(DIRECT)
    net.arrange()
    got = run()
    assert not forms._broken
    assert float((got - want).abs().max()) < 2e-5


def test_a_layer_goes_through_triton(triton: Any, on_a_gpu: Callable[[Any], None]) -> None:
    torch.manual_seed(0)
    net = UNet(SMALL).requires_grad_(False)
    x, time = image(2, 32, 2, 3), torch.randn(1, 128)
    (name, block), *_ = net.spatial_transformers()
    seen = Context(
        1, 1, torch.randn(1, 5, 16), ReferenceKV({name: block.reference_kv(torch.randn(1, 7, 32))})
    )
    stage = net.down_blocks[0]
    assert isinstance(stage, DownStage)
    want = kernels.summed(stage.layer(0, x, time, seen))
    on_a_gpu(triton)
    net.arrange()
    got = stage.layer(0, x, time, seen)
    assert not forms._broken
    assert isinstance(got, kernels.Sum)
    assert float((got.total() - want).abs().max()) < 2e-5


def test_a_window_goes_through_the_plain_net(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, where there is no Triton: on Apple silicon, and inside ``torch.compile``."""
    torch.manual_seed(0)
    net = UNet(SMALL).requires_grad_(False)
    run = window(net)
    want = run()
    monkeypatch.setattr(forms, "form_for", lambda x: "plain")
    assert float((run() - want).abs().max()) < 2e-5


def test_the_autoencoder_goes_the_fused_way(on_a_gpu: Callable[[Any], None]) -> None:
    net = vae.build_vae(fixtures.config("v1_vae", "vae"))
    net.load_state_dict(fixtures.state("v1_vae", "vae"))
    latents, pictures = torch.randn(2, 4, 3, 5), torch.randn(1, 3, 24, 40)
    want = vae.decode(net, latents, 2), vae.encode(net, pictures)
    on_a_gpu(DIRECT)
    got = vae.decode(net, latents, 2), vae.encode(net, pictures)
    assert not forms._broken
    for one, other in zip(got, want, strict=True):
        assert float((one - other).abs().max()) < 1e-4


def test_a_kernel_that_cannot_be_built_is_replaced_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = ModuleType("broken")
    asked: list[None] = []

    def geglu(x: Tensor) -> Tensor:
        asked.append(None)
        raise RuntimeError("no C compiler\nand a long story")

    broken.geglu = geglu  # type: ignore[attr-defined]
    monkeypatch.setattr(forms, "form_for", lambda x: "fused")
    monkeypatch.setattr(forms, "_triton", lambda: broken)
    monkeypatch.setattr(forms, "_broken", set())
    x = torch.randn(3, 8)
    with caplog.at_level(logging.INFO):
        found = [kernels.geglu(x) for _ in range(2)]
    assert torch.equal(*found)
    assert len(asked) == 1
    assert [r.message for r in caplog.records] == [
        "the fused geglu does not work here (no C compiler); PyTorch's operations do it"
    ]


class Wrong:
    """Operations that run and give something else; ``times`` counts the calls."""

    def __init__(self, by: float) -> None:
        self.by, self.times = by, 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def wrong(x: Tensor, *given: Any) -> Any:
            self.times += 1
            made = getattr(DIRECT, name)(x.clone(), *given)
            x.mul_(0)  # some write over what they are given
            return tuple(t + self.by for t in made) if isinstance(made, tuple) else made + self.by

        return wrong


def test_a_kernel_with_other_numbers_is_replaced_at_its_first_use(
    on_a_gpu: Callable[[Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    for by, times in ((1e-6, 2), (0.1, 1), (float("nan"), 1)):
        on_a_gpu(wrong := Wrong(by))
        caplog.clear()
        with caplog.at_level(logging.INFO):
            for _ in range(2):
                q, k, v = (torch.ones(4, 3, 8) * torch.arange(8.0) for _ in range(3))
                want = DIRECT.attend_frames(q, k, v, 2, 2)
                assert float((kernels.attend_frames(q, k, v, 2, 2) - want).abs().max()) < 1e-5
        assert wrong.times == times
        assert len(caplog.records) == (times == 1)
        x, weight = torch.randn(2, 8, 3, 3), torch.ones(8)
        exact = F.group_norm(x, 2, weight, 0 * weight)
        _, normed = norms.group_norm(x.clone(), None, None, None, weight, 0 * weight, 2, 1e-5, False)
        assert float((normed - exact).abs().max()) < 1e-5


def test_a_use_is_compared_once_and_large_or_recorded_ones_are_not(
    on_a_gpu: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[None] = []

    def alike(*_: Any) -> bool:
        looked.append(None)
        return True

    monkeypatch.setattr(forms, "_alike", alike)
    on_a_gpu(DIRECT)
    for x, compared in (
        (torch.ones(2, 8), 1),
        (torch.ones(9, 8), 1),
        (torch.ones(2, 16), 2),
        (torch.ones(2, 8).half(), 3),
        (torch.ones(2, 32, device="meta"), 3),
    ):
        kernels.geglu(x)
        assert len(looked) == compared
    monkeypatch.setattr(forms, "COMPARED", 10)
    kernels.geglu(torch.ones(2, 64))
    assert len(looked) == 3


@pytest.mark.parametrize("fault", ["weight", "shape", "error"])
def test_attention_whose_weights_are_others_is_replaced(
    fault: str, on_a_gpu: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that tells the logarithm to base 2, in another shape, or is called otherwise."""
    torch.manual_seed(0)
    q, k, v = torch.split(torch.randn(3, 21, 96), 32, -1)
    beyond = torch.randn(1, 17, 32), torch.randn(1, 17, 32)
    want = kernels.attend(q, k, v, 4, beyond, 1)
    told = softmax._with_weight

    def other(*given: Tensor) -> tuple[Tensor, Tensor]:
        found = told(*given)
        assert found is not None
        if fault == "error":
            raise TypeError("takes 3 positional arguments")
        return found[0], found[1] / 0.693 if fault == "weight" else found[1][..., :5]

    on_a_gpu(DIRECT)
    assert close(kernels.attend(q, k, v, 4, beyond, 1), want.double())
    assert not forms._broken
    monkeypatch.setattr(softmax, "_with_weight", other)
    forms._proved.clear()
    for _ in range(2):
        assert close(kernels.attend(q, k, v, 4, beyond, 1), want.double())
    assert forms._broken == {"attend_apart"}


def test_memory_that_runs_out_is_not_a_broken_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("broken")

    def geglu(x: Tensor) -> Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    broken.geglu = geglu  # type: ignore[attr-defined]
    monkeypatch.setattr(forms, "form_for", lambda x: "fused")
    monkeypatch.setattr(forms, "_triton", lambda: broken)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        kernels.geglu(torch.randn(3, 8))
    assert not forms._broken


def test_joined_weights_are_one_product_under_their_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [kernels.Linear(8, n, bias=False).requires_grad_(False) for n in (4, 6, 2)]
    x, before = torch.randn(5, 8), [layer.weight.clone() for layer in layers]
    monkeypatch.setattr(forms, "form_for", lambda x: "plain")
    want = kernels.products_of(x, *layers)
    kernels.join_weights(*layers)
    storage = layers[0].weight.untyped_storage()
    assert {layer.weight.untyped_storage().data_ptr() for layer in layers} == {storage.data_ptr()}
    assert storage.nbytes() == sum(w.nbytes for w in before)
    products_made: list[tuple[int, ...]] = []
    linear = F.linear

    def counted(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        products_made.append(tuple(weight.shape))
        return linear(x, weight, bias)

    monkeypatch.setattr(F, "linear", counted)
    got = kernels.products_of(x, *layers)
    assert products_made == [(12, 8)]
    for one, other, weight, old in zip(got, want, [layer.weight for layer in layers], before, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
        assert torch.equal(weight, old)
    layers[1].weight = torch.nn.Parameter(before[1], requires_grad=False)
    kernels.products_of(x, *layers)
    assert products_made[1:] == [(4, 8), (6, 8), (2, 8)]
