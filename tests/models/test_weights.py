"""Official checkpoints into networks: complete, strict, in little memory."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from echomimic.errors import WeightsError
from echomimic.models import layouts, weights
from echomimic.models.layouts import WeightFiles
from echomimic.models.manifests import manifest, size
from echomimic.models.networks import MOTION_PREFIX, NETWORKS, Network, Sizes, build, shapes
from echomimic.progress import Progress
from echomimic.variants import VARIANTS
from tests import tiny
from tests.parity import fixtures

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def v1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("tiny") / "v1", "v1", acc=False)


@pytest.fixture(scope="module")
def v2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("tiny") / "v2", "v2", acc=False)


def replaced(files: WeightFiles, part: str, path: Path, state: State) -> WeightFiles:
    torch.save(state, path)
    return WeightFiles(files.variant, {**files.paths, part: path}, files.networks)


def changed(part: str, change: Callable[[State], object]) -> Callable[[Path, Path], WeightFiles]:
    """V1 files of which one was changed."""

    def make(folder: Path, tmp_path: Path) -> WeightFiles:
        files = layouts.find("v1", folder)
        state = torch.load(files.paths[part], weights_only=True)
        change(state)
        return replaced(files, part, tmp_path / f"{part}.pth", state)

    return make


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("variant", ["v1", "v1-pose", "v2"])
def test_full_size_networks_are_what_the_manifests_list(network: Network, variant: str) -> None:
    row = VARIANTS[variant]
    net = {key: tuple(value.shape) for key, value in build(network, row, Sizes()).state_dict().items()}
    assert net == shapes(network, row, Sizes())
    recorded = {
        "denoiser": ("denoising_unet", "motion_module"),
        "reference": ("reference_unet",),
        "vae": ("vae",),
    }
    names = recorded.get(network, ())
    assert all(
        net[key] == tuple(shape) for name in names for key, shape in fixtures.shapes(f"full/{name}").items()
    )


def test_shipped_manifests() -> None:
    assert [len(manifest(name)) for name in ("denoising_unet", "motion_module", "reference_unet")] == [
        686,
        588,
        570,
    ]
    assert size("reference_unet") == 4 * 815_521_280


@pytest.mark.parametrize(
    ("variant", "case"), [("v1", "v1_loop_audio"), ("v1-pose", "v1_loop_pose"), ("v2", "v2_loop_base")]
)
def test_every_tensor_arrives(v1: Path, v2: Path, variant: str, case: str) -> None:
    files = layouts.find(variant, v1 if variant.startswith("v1") else v2)
    nets = weights.load_networks(files, None)
    for net, component in ((nets.reference, "reference_unet"), (nets.vae, "vae")):
        want = fixtures.state(case, component)
        assert all(torch.equal(value, want[key]) for key, value in net.state_dict().items())
    want = tiny.denoising_state(case)
    assert all(torch.equal(value, want[key]) for key, value in nets.denoiser.state_dict().items())
    want = fixtures.state("whisper_short", "whisper")
    assert torch.equal(nets.whisper.get_parameter("layers.3.fc2.bias"), want["encoder.blocks.3.mlp.2.bias"])
    assert nets.guider.conv_in.in_channels == (1 if variant == "v1" else 3)
    for net in vars(nets).values():
        assert not net.training
        assert not any(value.requires_grad or value.is_meta for value in net.state_dict().values())


def test_dtype_and_its_exceptions(v1: Path) -> None:
    seen: list[Progress] = []
    files = layouts.find("v1", v1)
    nets = weights.load_networks(files, torch.bfloat16, dtypes={"whisper": torch.float32}, report=seen.append)
    dtypes = {name: {value.dtype for value in net.state_dict().values()} for name, net in vars(nets).items()}
    assert dtypes.pop("whisper") == {torch.float32}
    assert set.union(*dtypes.values()) == {torch.bfloat16}
    assert [report.done for report in seen] == [0, 1, 2, 3, 4, 5]


def test_motion_keys_in_the_denoising_file_win(v1: Path, tmp_path: Path) -> None:
    key = "mid_block.motion_modules.0.temporal_transformer.proj_in.bias"
    files = changed("denoising_unet", lambda state: state.update({key: torch.full((128,), 7.0)}))(
        v1, tmp_path
    )
    state = weights.load_network("denoiser", files, None).state_dict()
    assert state[key].eq(7).all()
    other = key.replace("proj_in", "proj_out")
    assert torch.equal(state[other], tiny.denoising_state("v1_loop_audio")[other])


def test_a_motion_file_that_repeats_the_denoiser_adds_nothing(v1: Path, tmp_path: Path) -> None:
    files = changed("motion_module", lambda state: state.update({"conv_in.bias": torch.full((32,), 7.0)}))(
        v1, tmp_path
    )
    assert not weights.load_network("denoiser", files, None).state_dict()["conv_in.bias"].eq(7).any()


def test_position_tables_are_computed_when_absent(v1: Path, tmp_path: Path) -> None:
    def bare(state: State) -> None:
        for key in [key for key in state if key.endswith(".pe")]:
            del state[key]

    want = weights.load_network("denoiser", layouts.find("v1", v1), None).state_dict()
    found = weights.load_network("denoiser", changed("motion_module", bare)(v1, tmp_path), None).state_dict()
    assert sum(key.endswith(".pe") for key in found) == 42
    assert all(torch.equal(found[key], want[key]) for key in want)


MOTION_KEY = "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"


@pytest.mark.parametrize(
    ("part", "network", "change", "says"),
    [
        ("reference_unet", "reference", lambda s: s.pop("conv_in.bias"), r"lacks conv_in\.bias"),
        ("reference_unet", "reference", lambda s: s.update(odd=torch.zeros(1)), "holds unknown odd"),
        ("denoising_unet", "denoiser", lambda s: s.pop("conv_out.bias"), r"lacks conv_out\.bias"),
        (
            "denoising_unet",
            "denoiser",
            lambda s: s.update({"x.motion_modules.y": torch.zeros(1)}),
            "holds unknown x",
        ),
        ("motion_module", "denoiser", lambda s: s.pop(MOTION_KEY), "lacks down_blocks.0.motion_modules"),
        ("motion_module", "denoiser", lambda s: s.update(odd=torch.zeros(1)), "holds unknown odd"),
        (
            "guider",
            "guider",
            lambda s: s.update({"conv_in.bias": torch.zeros(3)}),
            r"conv_in\.bias is \(3,\), expected \(16,\)",
        ),
        (
            "guider",
            "guider",
            lambda s: s.update({"conv_in.bias": torch.zeros(16).int()}),
            "no floating point numbers",
        ),
    ],
)
def test_files_that_do_not_add_up_are_explained(
    v1: Path, tmp_path: Path, part: str, network: Network, change: Callable[[State], object], says: str
) -> None:
    with pytest.raises(WeightsError, match=says) as caught:
        weights.load_network(network, changed(part, change)(v1, tmp_path), None)
    assert str(tmp_path / f"{part}.pth") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_guider_of_the_wrong_model_is_noticed(v1: Path, v2: Path) -> None:
    files = layouts.find("v2", v2)
    mixed = WeightFiles("v2", {**files.paths, "guider": v1 / "face_locator.pth"}, files.networks)
    with pytest.raises(WeightsError, match=r"another model than v2, which needs pose_encoder\.pth"):
        weights.load_network("guider", mixed, None)
    with pytest.raises(WeightsError, match="is not the denoiser of v2: it lacks"):
        swapped = {**files.paths, "denoising_unet": files.paths["reference_unet"]}
        weights.load_network("denoiser", WeightFiles("v2", swapped, files.networks), None)


def ldm(name: str) -> str:
    """The original Stable Diffusion spelling of a VAE tensor."""
    for new, old in (
        ("to_q", "q"),
        ("to_k", "k"),
        ("to_v", "v"),
        ("to_out.0", "proj_out"),
        ("group_norm", "norm"),
    ):
        name = name.replace(f"mid_block.attentions.0.{new}.", f"mid.attn_1.{old}.")
    for i in range(4):
        name = name.replace(f"up_blocks.{i}.resnets", f"up.{3 - i}.block").replace(
            f"down_blocks.{i}.resnets", f"down.{i}.block"
        )
        name = name.replace(f"up_blocks.{i}.upsamplers.0", f"up.{3 - i}.upsample")
        name = name.replace(f"down_blocks.{i}.downsamplers.0", f"down.{i}.downsample")
        name = name.replace(f"mid_block.resnets.{i}", f"mid.block_{i + 1}")
    return name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")


def old(name: str) -> str:
    """The spelling of earlier diffusers versions."""
    for new, was in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        name = name.replace(f"attentions.0.{new}.", f"attentions.0.{was}.")
    return name


@pytest.mark.parametrize(
    "spelling", [old, ldm, lambda name: "first_stage_model." + ldm(name)], ids=["old", "ldm", "sd"]
)
def test_vae_in_every_spelling(v1: Path, tmp_path: Path, spelling: Callable[[str], str]) -> None:
    files = layouts.find("v1", v1)
    want = fixtures.state("v1_vae", "vae")
    convolved = {k: v[..., None, None] if ".attentions." in k and v.ndim == 2 else v for k, v in want.items()}
    state = {spelling(key): value.contiguous() for key, value in convolved.items()} | {
        "model_ema.decay": torch.ones(1)
    }
    found = weights.load_network(
        "vae", replaced(files, "vae", tmp_path / "vae.ckpt", state), None
    ).state_dict()
    assert all(torch.equal(found[key], want[key]) for key in want)


def test_whisper_from_hugging_face(v1: Path, tmp_path: Path) -> None:
    files = layouts.find("v1", v1)
    want = weights.load_network("whisper", files, None).state_dict()
    state = {f"model.encoder.{key}": value.clone() for key, value in want.items()}
    save_file(state | {"model.decoder.x": torch.ones(1)}, tmp_path / "model.safetensors")
    files = WeightFiles("v1", {**files.paths, "whisper": tmp_path / "model.safetensors"}, files.networks)
    found = weights.load_network("whisper", files, None).state_dict()
    assert all(torch.equal(found[key], want[key]) for key in want)


MEASURE = """
import resource, sys
from pathlib import Path
import torch
from echomimic.models import layouts, weights
from echomimic.models import weight_file as checkpoint
checkpoint.WINDOW = 12 * 2**20
files = layouts.WeightFiles("v2", {"denoising_unet": Path(sys.argv[1]), "motion_module": Path(sys.argv[1])},
                            {"unet": {"channels": [64, 128, 256, 256]}})
weights.build("denoiser", weights.row_of("v2"), weights.Sizes.from_card(files.networks))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
state = weights.load_network("denoiser", files, torch.bfloat16).state_dict()
assert all(value.flatten()[::512].isfinite().all() for value in state.values())
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024 / sum(value.nbytes for value in state.values()))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit there")
def test_loading_takes_little_more_memory_than_the_weights(tmp_path: Path) -> None:
    sizes = Sizes.from_card({"unet": {"channels": [64, 128, 256, 256]}})
    keys = shapes("denoiser", VARIANTS["v2"], sizes)
    torch.save({key: torch.zeros(shape) for key, shape in keys.items()}, tmp_path / "big.pth")
    assert (tmp_path / "big.pth").stat().st_size > 180e6
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = [sys.executable, "-c", MEASURE, str(tmp_path / "big.pth")]
    ratio = float(subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout)
    assert ratio <= 1.2
    (tmp_path / "big.pth").unlink()


def test_sizes_in_the_card_that_mean_nothing() -> None:
    assert Sizes.from_card(tiny.card()) == tiny.sizes()
    assert Sizes.from_card({}) == Sizes()
    with pytest.raises(WeightsError, match="unknown networks"):
        Sizes.from_card({"unet": {"chanels": [1]}})


def test_motion_is_what_the_denoising_file_lacks() -> None:
    assert all(MOTION_PREFIX in key for key in manifest("motion_module"))
    assert not any(MOTION_PREFIX in key for key in manifest("denoising_unet"))


@pytest.mark.parametrize(
    "card",
    [
        {"unet": {"channels": "abc"}},
        {"unet": {"channels": [0, 32, 64, 64]}},
        {"unet": {"channels": [-32, 32, 64, 64]}},
        {"unet": {"channels": [32, 64]}},
        {"unet": {"channels": [32.5, 64, 64, 64]}},
        {"unet": {"heads": 10**9}},
        {"unet": {"layers": -1}},
        {"unet": 5},
        {"guider": 7},
        {"guider": [0]},
        {"vae": "x"},
        {"vae": {"block_out_channels": [-1]}},
    ],
)
def test_sizes_that_no_net_can_have_are_refused(card: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match=r"echomimic\.json .*; convert the weights again"):
        Sizes.from_card(card)
