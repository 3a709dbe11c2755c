"""All six variants through the real engine on tiny networks:
frames, resuming, offloading, running out of memory."""

import functools
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from echomimic.conditions import Conditions
from echomimic.diffusion import pictures
from echomimic.diffusion.engine import DiffusionEngine, load_engine
from echomimic.diffusion.guidance import Predictor
from echomimic.diffusion.loop import denoise
from echomimic.diffusion.placement import parts_of
from echomimic.errors import ResourceError, SettingsError, WeightsError
from echomimic.media.output import state_of
from echomimic.progress import Progress, Report
from echomimic.request import Dtype, Offload, Settings
from tests.diffusion.conftest import Make

pytestmark = pytest.mark.slow

Engines = Callable[[str], DiffusionEngine]


class Reporter:
    """Collects what is reported; raises when ``stop`` holds."""

    def __init__(self, stop: Callable[[Progress], bool] = lambda _: False) -> None:
        self.seen: list[Progress] = []
        self.notes: list[str] = []
        self.stop = stop

    def __call__(self, progress: Progress) -> None:
        self.seen.append(progress)
        if self.stop(progress):
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        self.notes.append(text)

    def steps(self) -> list[str]:
        return [p.detail for p in self.seen if p.stage == "denoising"]


def after_step(number: int) -> Callable[[Progress], bool]:
    return lambda p: p.stage == "denoising" and p.detail.startswith(f"step {number + 1} ")


@pytest.fixture(scope="module")
def rendered(engine: Engines) -> Callable[..., np.ndarray]:
    """All frames of conditions, in one array."""

    def render(
        conditions: Conditions, report: Report = lambda _: None, by: DiffusionEngine | None = None
    ) -> np.ndarray:
        return np.stack(list((by or engine(conditions.settings.model)).frames(conditions, report)))

    return render


@pytest.mark.parametrize("model", ["v1", "v1-acc", "v1-pose", "v1-pose-acc", "v2", "v2-acc"])
def test_every_variant_renders(model: str, make: Make, rendered: Callable[..., np.ndarray]) -> None:
    report = Reporter()
    frames = rendered(make(model, frames=3, steps=1), report)
    assert frames.shape == (3, 128, 128, 3)
    assert frames.dtype == np.uint8
    assert frames.std() > 1
    heard = ["audio"] if "pose" in model else []  # landmarks are made from the speech
    done = [
        stage for stage, _ in itertools.groupby(p.stage for p in report.seen if p.total and p.done == p.total)
    ]
    assert done == [*heard, "reference", "audio", "denoising"]


def test_a_seed_repeats(make: Make, rendered: Callable[..., np.ndarray]) -> None:
    first, again, other = (rendered(make(frames=2, steps=1, seed=seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("windows", "seen"), [("uniform", [(0, 1, 2, 3), (3, 4, 5, 0)]), ("open", [(0, 1, 2, 3), (2, 3, 4, 5)])]
)
def test_the_windows_that_were_asked_for_are_denoised(
    windows: str,
    seen: list[tuple[int, ...]],
    make: Make,
    rendered: Callable[..., np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predict, frames = Predictor.__call__, []

    def watched(self: Predictor, latents: torch.Tensor, timestep: int, window: Sequence[int]) -> torch.Tensor:
        frames.append(tuple(window))
        return predict(self, latents, timestep, window)

    monkeypatch.setattr(Predictor, "__call__", watched)
    rendered(make(steps=1, windows=windows))
    assert frames == seen


@pytest.mark.parametrize("faithful", [False, True])
def test_faithful_rounds_the_reference_and_sums_what_overlaps(
    faithful: bool,
    make: Make,
    rendered: Callable[..., np.ndarray],
    engine: Engines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = engine("v1").nets.denoiser
    told: list[object] = []
    features: list[torch.Tensor] = []
    project = net.project_reference

    def watched(hidden_states: dict[str, torch.Tensor]) -> object:
        features.extend(hidden_states.values())
        return project(hidden_states)

    def loop(*given: object, divide: bool, **more: object) -> object:
        told.append(divide)
        return denoise(*given, divide=divide, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(net, "project_reference", watched)
    monkeypatch.setattr("echomimic.diffusion.engine.denoise", loop)
    rendered(make("v1", frames=2, steps=1, cfg=1.0, faithful=faithful))
    assert told == [not faithful]
    assert [torch.equal(state, state.half().float()) for state in features] == [faithful] * len(features)
    assert features


def test_a_range_is_that_part_of_the_whole(make: Make, engine: Callable[[str], DiffusionEngine]) -> None:
    conditions, one = make("v1-acc"), engine("v1-acc")
    whole, part = (np.stack(list(one.frames(conditions, frames=frames))) for frames in (None, range(2, 5)))
    assert np.array_equal(part, whole[2:5])


def test_other_sizes_and_schedulers_render(make: Make, rendered: Callable[..., np.ndarray]) -> None:
    frames = rendered(make(frames=2, width=128, height=192, scheduler="dpm++", steps=2))
    assert frames.shape == (2, 192, 128, 3)


def test_progress_says_step_window_and_time_left(make: Make, rendered: Callable[..., np.ndarray]) -> None:
    report = Reporter()
    rendered(make(), report)
    assert report.steps()[0].startswith("step 1 of 2, window 1 of 2, 0:")
    last = [p for p in report.seen if p.stage == "denoising"][-1]
    assert (last.done, last.total) == (4, 4)
    assert isinstance(last.preview, np.ndarray)
    assert last.preview.shape == (64, 64, 3)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++"])
def test_an_interrupted_run_goes_on_bit_identically(
    scheduler: str, make: Make, rendered: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    options = {"steps": 3, "scheduler": scheduler, "output": output}
    whole = rendered(make(**options | {"output": None}))
    with pytest.raises(KeyboardInterrupt, match="stopped after step 1; the same command goes on from there"):
        rendered(make(**options), Reporter(after_step(1)))
    report = Reporter()
    assert np.array_equal(rendered(make(**options), report), whole)
    assert report.notes == ["going on after step 1 of 3"]
    assert report.steps()[0].startswith("step 2 of 3")


def test_a_finished_denoising_is_only_decoded_again(
    make: Make, rendered: Callable[..., np.ndarray], engine: Engines, tmp_path: Path
) -> None:
    conditions = make(output=tmp_path / "out.mp4")
    report, whole = Reporter(), rendered(conditions)
    assert np.array_equal(rendered(conditions, report), whole)
    assert not report.steps()
    engine("v1-acc").finished(conditions)
    assert not list(tmp_path.glob(".out*"))


def test_a_changed_setting_starts_anew_and_says_so(
    make: Make, rendered: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    output, report = tmp_path / "out.mp4", Reporter()
    rendered(make(steps=1, output=output))
    changed = rendered(make(steps=1, output=output, seed=5), report)
    assert report.notes == ["the unfinished run was made with another seed; starting anew"]
    assert np.array_equal(changed, rendered(make(steps=1, seed=5)))


def test_a_damaged_state_starts_anew_and_no_resume_leaves_none(
    make: Make, rendered: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    output, report = tmp_path / "out.mp4", Reporter()
    state_of(output).write_bytes(b"\x10\0\0\0\0\0\0\0half a header")
    rendered(make(steps=1, frames=2, output=output), report)
    assert "cannot be used" in report.notes[0]
    state_of(output).unlink()
    rendered(make(steps=1, frames=2, output=output, resume=False))
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_offloading_changes_no_pixel(
    offload: Offload, make: Make, rendered: Callable[..., np.ndarray], weights: Callable[[str], Path]
) -> None:
    moved = load_engine(
        Settings(model="v1", weights=weights("v1"), device="cpu", dtype="fp32", offload=offload)
    )
    conditions = make("v1", frames=2, steps=1)
    assert np.array_equal(rendered(conditions, by=moved), rendered(conditions))
    assert moved.device == torch.device("cpu")


def test_sequential_offloading_leaves_no_parameter_behind(engine: Engines) -> None:
    for network in engine("v1").networks.values():
        direct = {id(p) for part in parts_of(network) for p in part.parameters()}
        assert direct == {id(p) for p in network.parameters()}


def test_running_out_of_memory_says_what_to_lower(
    make: Make, rendered: Callable[..., np.ndarray], engine: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")

    monkeypatch.setattr(engine("v1-acc").nets.denoiser, "forward", full)
    advice = r"while denoising; lower context_frames \(now 12\) or width and height, or set offload model"
    with pytest.raises(ResourceError, match=advice):
        rendered(make(context_frames=12))


def test_decoding_goes_on_in_tiles_when_memory_is_short(
    make: Make, rendered: Callable[..., np.ndarray], engine: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    vae = engine("v2-acc").nets.vae
    whole = vae.decode

    def short_of_memory(latent: torch.Tensor) -> torch.Tensor:
        if not vae.tiled:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return whole(latent)

    monkeypatch.setattr(vae, "decode", short_of_memory)
    assert rendered(make("v2-acc", frames=2, steps=1)).shape == (2, 128, 128, 3)
    vae.tiled = False


def test_an_autoencoder_that_overflows_decodes_in_float32(
    make: Make, rendered: Callable[..., np.ndarray], weights: Callable[[str], Path]
) -> None:
    half = load_engine(Settings(model="v1-acc", weights=weights("v1"), device="cpu", dtype="fp16"))
    for weight in (half.nets.vae.decoder.conv_in.weight, half.nets.vae.post_quant_conv.weight):
        weight.mul_(3e3)
    report = Reporter()
    frames = rendered(make(frames=2, steps=1), report, by=half)
    assert report.notes.count("the autoencoder overflows in float16: this video is decoded in float32") == 1
    assert frames.std() > 1
    assert half.nets.vae.dtype == torch.float16


@pytest.mark.parametrize(("dtype", "remedy"), [("fp16", "--dtype bf16 or fp32"), ("bf16", "--dtype fp32")])
def test_numbers_that_overflow_stop_the_run_and_keep_its_state(
    dtype: Dtype,
    remedy: str,
    make: Make,
    rendered: Callable[..., np.ndarray],
    weights: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    half = load_engine(Settings(model="v1-acc", weights=weights("v1"), device="cpu", dtype=dtype))
    conditions = make(frames=2, output=tmp_path / "out.mp4")
    with pytest.raises(KeyboardInterrupt):
        rendered(conditions, Reporter(after_step(0)), by=half)
    kept = state_of(tmp_path / "out.mp4").read_bytes()
    half.nets.denoiser.conv_in.weight.fill_(float("inf"))
    with pytest.raises(SettingsError, match=f"^numbers overflowed in {dtype}; use {remedy}$"):
        rendered(conditions, by=half)
    assert state_of(tmp_path / "out.mp4").read_bytes() == kept


def test_bfloat16_stays_close(
    make: Make, rendered: Callable[..., np.ndarray], weights: Callable[[str], Path]
) -> None:
    half = load_engine(Settings(model="v1-acc", weights=weights("v1"), device="cpu", dtype="bf16"))
    difference = rendered(make(), by=half).astype(float) - rendered(make())
    psnr = 20 * np.log10(255 / np.sqrt((difference**2).mean()))
    assert psnr > 36


def test_a_wrong_scheduler_or_device_is_refused_before_loading() -> None:
    load = functools.partial(Settings, model="v1", weights=Path("nowhere"))
    with pytest.raises(SettingsError, match="scheduler 'magic' is unknown; choose one of ddim"):
        load_engine(load(scheduler="magic"))
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="device cuda was not found"):
            load_engine(load(device="cuda"))
    report = Reporter()
    with pytest.raises(WeightsError, match="nowhere"):
        load_engine(load(device="cpu", dtype="fp16"), report)
    assert "slower" in report.notes[0]


def test_the_rough_picture_follows_the_latents() -> None:
    dark, light = torch.zeros(4, 2, 2), torch.zeros(4, 2, 2)
    dark[0], light[0] = -3, 3
    assert pictures.glimpse(dark).mean() < 64 < 192 < pictures.glimpse(light).mean()
