"""Groups c, d, e, f: the nets reproduce the official numbers, block by block."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from echomimic.models.temporal import MotionModule
from echomimic.models.unet import ReferenceKV, UNet
from tests.parity import fixtures, nets


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def difference(got: Tensor, expected: np.ndarray) -> float:
    assert got.shape == expected.shape
    return float((got - torch.from_numpy(expected)).abs().max())


@pytest.mark.parametrize("name", fixtures.ids("c"))
def test_guider(name: str) -> None:
    case = fixtures.case(name)
    pictures = fixtures.tensors(case)["conditioning"]
    net = nets.guider(case, case["weights"][0]["component"])
    got = nets.unfold(net(nets.fold(pictures)), pictures.shape[2])
    assert difference(got, fixtures.arrays(case)["out"]) < case["atol"]


@pytest.mark.parametrize("name", fixtures.ids("d"))
def test_reference_features(name: str) -> None:
    case = fixtures.case(name)
    expected = fixtures.arrays(case)
    hidden_states = nets.unet(case, "reference_unet").hidden_states(fixtures.tensors(case)["ref_latents"])
    assert {f"{state}.transformer_blocks.0" for state in hidden_states} == set(case["writer_order"])
    for i, writer in enumerate(case["writer_order"]):
        assert (
            difference(hidden_states[writer.removesuffix(".transformer_blocks.0")], expected[f"bank_{i:02}"])
            < case["atol"]
        )


class Denoise:
    """A case of group e: the denoiser, its inputs in our layout and the recorded output."""

    def __init__(self, name: str) -> None:
        self.case = fixtures.case(name)
        given = fixtures.tensors(self.case)
        self.denoiser = nets.unet(self.case, "denoising_unet")
        self.hidden_states = nets.unet(self.case, "reference_unet").hidden_states(given["ref_latents"])
        self.t = torch.tensor(self.case["config"]["timestep"])
        self.frames, self.plain = given["latents"].shape[2], int(self.case["config"]["cfg"])
        self.latents = torch.cat([nets.fold(given["latents"])] * (self.plain + 1))
        self.audio, self.guide = given["audio"].flatten(0, 1), nets.fold(given["face"])
        self.recorded = fixtures.arrays(self.case)

    def run(self, net: Callable[..., Tensor] | None = None, **changed: Any) -> Tensor:
        given = {"frames": self.frames, "audio": self.audio, "guide": self.guide, "unconditional": self.plain}
        given |= {"reference": self.denoiser.project_reference(self.hidden_states)}
        return (self.denoiser if net is None else net)(self.latents, self.t, **given | changed)

    def error(self, **changed: Any) -> float:
        return difference(nets.unfold(self.run(**changed), self.frames), self.recorded["out"])


@pytest.mark.parametrize("name", fixtures.ids("e"))
def test_denoiser_and_every_block_inside(name: str) -> None:
    run, seen = Denoise(name), dict[str, Tensor]()
    names = run.case["probe_names"]
    for module in names:
        run.denoiser.get_submodule(module).register_forward_hook(keep(seen, module))
    assert run.error() < run.case["atol"]
    for module, expected in zip(names, run.recorded["probes"], strict=True):
        x = seen[module]
        x = nets.unfold(x, run.frames) if x.ndim == 4 else x.expand(run.plain + 1, -1)
        np.testing.assert_allclose(probe(x), expected, rtol=0, atol=run.case["probe_atol"], err_msg=module)


def keep(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_module: nn.Module, _given: Any, out: Any) -> None:
        out = out if isinstance(out, Tensor) else out[-1]
        seen[name] = torch.cat([seen[name], out]) if name in seen else out

    return hook


def probe(x: Tensor) -> np.ndarray:
    values = x.double().flatten().numpy()
    picked = values[np.floor(np.linspace(0, values.size - 1, 16)).astype(int)]
    return np.concatenate([[values.mean(), values.std(), np.abs(values).max()], picked])


@pytest.mark.parametrize("name", fixtures.ids("f"))
def test_motion_module(name: str) -> None:
    case = fixtures.case(name)
    expected, hidden = fixtures.arrays(case), fixtures.tensors(case)["hidden"]
    state = fixtures.state(case, "motion_module")
    module = MotionModule(hidden.shape[1], 8, 32).requires_grad_(False)
    tables = {k: v for k, v in module.state_dict().items() if k.endswith(".pe")}
    module.load_state_dict(state | tables, strict=True)
    got = nets.unfold(module(nets.fold(hidden), hidden.shape[2]), hidden.shape[2])
    assert difference(got, expected["out"]) < case["atol"]
    for table in tables.values():
        assert difference(table, expected["pe"]) < 1e-6


def test_channels_last_gives_the_same_numbers() -> None:
    run = Denoise("v1_denoise_cfg")
    run.denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run.latents = run.latents.contiguous(memory_format=torch.channels_last)
    assert run.error() < run.case["atol"]


@pytest.mark.slow
def test_one_graph() -> None:
    run = Denoise("v1_denoise_cfg")
    compiled = torch.compile(run.denoiser, fullgraph=True, backend="eager")
    assert torch.allclose(run.run(compiled), run.run(), atol=1e-6)


def test_windows_run_together_as_alone() -> None:
    run = Denoise("v1_denoise_nocfg")
    other = run.latents.flip(0)
    alone = torch.cat([run.run(), run.run(lambda x, *a, **k: run.denoiser(other, *a, **k))])
    both = torch.cat([run.latents, other])
    together = run.run(lambda x, *a, **k: run.denoiser(both, *a, **k), audio=run.audio.repeat(2, 1, 1))
    assert torch.allclose(alone, together, atol=1e-5)


def test_a_single_frame_and_one_guide_for_all() -> None:
    run = Denoise("v1_denoise_nocfg")
    given = {"reference": run.denoiser.project_reference(run.hidden_states), "frames": 1}
    single = run.denoiser(run.latents[:1], run.t, audio=run.audio[:1], guide=run.guide[:1], **given)
    clips = run.denoiser(run.latents[:3], run.t, audio=run.audio[:3], guide=run.guide[:1], **given)
    assert torch.allclose(single[0], clips[0], atol=1e-5)


# Mistakes a port could make, each shown to move the numbers far out of tolerance.


def swapped(kv: ReferenceKV) -> ReferenceKV:
    first, second = "down_blocks.1.attentions.0", "down_blocks.1.attentions.1"
    return ReferenceKV({**kv.pairs, first: kv.pairs[second], second: kv.pairs[first]})


def test_mistake_reference_features_of_another_block() -> None:
    run = Denoise("v1_denoise_cfg")
    wrong = swapped(run.denoiser.project_reference(run.hidden_states))
    assert run.error(reference=wrong) > 100 * run.case["atol"]
    shuffled = dict(
        zip(
            run.hidden_states,
            [*list(run.hidden_states.values())[1:], run.hidden_states["mid_block.attentions.0"]],
            strict=True,
        )
    )
    with pytest.raises(ValueError, match="reference features of"):
        run.denoiser.project_reference(shuffled)


def test_mistake_reference_features_missing_or_unknown() -> None:
    run = Denoise("v1_denoise_nocfg")
    hidden_states = {k.replace("mid_block", "middle"): v for k, v in run.hidden_states.items()}
    with pytest.raises(ValueError, match=r"mid_block\.attentions\.0, middle\.attentions\.0"):
        run.denoiser.project_reference(hidden_states)


def test_mistake_audio_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Denoise("v1_denoise_cfg")
    monkeypatch.setattr("echomimic.models.attention.AUDIO_GAIN", 1.0)
    assert run.error() > 100 * run.case["atol"]


def test_mistake_unconditional_half_attends_to_the_reference() -> None:
    run = Denoise("v1_denoise_cfg")
    zeros = torch.zeros_like(run.audio)
    audio, guide = torch.cat([zeros, run.audio]), torch.cat([torch.zeros_like(run.guide), run.guide])
    assert run.error(unconditional=0, audio=audio, guide=guide) > 100 * run.case["atol"]


def test_silence_is_what_zero_audio_gives() -> None:
    run = Denoise("v1_denoise_cfg")
    computed = run.denoiser(
        run.latents[: run.frames],
        run.t,
        frames=run.frames,
        audio=torch.zeros_like(run.audio),
        guide=0 * run.guide,
    )
    assert difference(nets.unfold(computed, run.frames), run.recorded["out"][:1]) < run.case["atol"]


def test_full_size_nets_have_exactly_the_official_parameters() -> None:
    with torch.device("meta"):
        reference, denoiser = UNet(UNet().config.as_reference()), UNet()
    assert {k: list(v.shape) for k, v in reference.state_dict().items()} == fixtures.shapes(
        "full/reference_unet"
    )
    official = fixtures.shapes("full/denoising_unet") | fixtures.shapes("full/motion_module")
    assert {k: list(v.shape) for k, v in denoiser.state_dict().items()} == official
    pairs = fixtures.manifest("full/bank_order")["pairs"]
    blocks = {f"{n}.transformer_blocks.0": m.proj_in.in_channels for n, m in denoiser.spatial_transformers()}
    assert blocks == {p["reader"]: p["width"] for p in pairs} == {p["writer"]: p["width"] for p in pairs}


def test_bfloat16_stays_close_to_float32() -> None:
    run = Denoise("v1_denoise_frames12")
    exact = run.run()
    run.denoiser.to(torch.bfloat16)
    run.hidden_states = {name: state.bfloat16() for name, state in run.hidden_states.items()}
    run.latents, run.audio, run.guide = (x.bfloat16() for x in (run.latents, run.audio, run.guide))
    noise = (run.run().float() - exact).square().mean()
    peak = exact.abs().max().square()
    assert 10 * torch.log10(peak / noise) > 45


def test_large_latents_in_parts_give_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Denoise("v1_denoise_cfg")
    at_once = run.run()
    for module in ("attention", "temporal", "unet"):
        monkeypatch.setattr(
            f"echomimic.models.{module}.portions", lambda x, count, step: small_portions(count)
        )
    assert torch.allclose(run.run(), at_once, atol=1e-5)


def small_portions(count: int) -> list[slice]:
    return [slice(i, min(i + 3, count)) for i in range(0, count, 3)]
