"""EchoMimic V1 and V2 as an engine: one class for all six variants, whose differences are rows and rules."""

import functools
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from echomimic.conditions import Conditions
from echomimic.diffusion import pictures
from echomimic.diffusion.batching import WindowBatch, batch_for
from echomimic.diffusion.captured import CapturedForward, cuda_graph
from echomimic.diffusion.crew import Crew, cores_each
from echomimic.diffusion.decoding import FrameDecoder, tiled_if_needed
from echomimic.diffusion.exchange import Exchange, SharedCrew
from echomimic.diffusion.guidance import Predictor
from echomimic.diffusion.guides import Guide, GuideFeatures, guide_for
from echomimic.diffusion.loop import Rules, StepState, denoise, first_noise
from echomimic.diffusion.overflow import refuse_overflow
from echomimic.diffusion.placement import (
    Placement,
    enough_memory,
    float32_products,
    pick_devices,
    pick_dtype,
    waiting_device,
)
from echomimic.diffusion.portrait_cache import HiddenStates, PortraitCache
from echomimic.diffusion.resume import ResumeFile, Saved, forget, job_of, keep_states, speech_digest
from echomimic.diffusion.reuse import SPEEDS, StepReuse, windows_for
from echomimic.diffusion.schedule import Sampler, check_scheduler
from echomimic.diffusion.windows import Window, WindowPlan, cycle_of
from echomimic.media.image import Picture
from echomimic.media.output import state_of
from echomimic.models import layouts, vae, weights
from echomimic.models.audio import LogMel, SpeechFeatures
from echomimic.models.unet import ReferenceKV
from echomimic.models.vae import Autoencoder
from echomimic.models.weights import Networks
from echomimic.progress import Progress, Report, say, silent
from echomimic.request import Settings

_LOG = logging.getLogger(__package__)

LATENTS_ON_DEVICE = 2**28
"""Bytes of latents up to which they stay on the device (4096 frames of 512 × 512), else in main memory."""


def load_engine(settings: Settings, report: Report = silent) -> "DiffusionEngine":
    """The engine for ``settings.model``, its networks loaded where they work.

    Raises :class:`SettingsError` for a device, dtype or scheduler that is not there, :class:`WeightsError`
    for missing or damaged files.
    """
    check_scheduler(settings.scheduler, settings.steps)
    device, *further = pick_devices(settings)
    dtype = pick_dtype(settings.dtype, device)
    if dtype == torch.float16 and device.type == "cpu":
        say(report, "fp16 is many times slower than fp32 on a CPU; dtype auto picks what is fast")
    _LOG.info("%s on %s in %s", settings.model, device, str(dtype).removeprefix("torch."))
    files = layouts.find(settings.model, settings.weights, settings.vae)
    for component, path in files.paths.items():
        _LOG.info("%s: %s", component, path)
    with enough_memory(settings, "loading the networks"):
        networks = weights.load_networks(
            files, dtype, waiting_device(settings.offload, device), {"whisper": torch.float32}, report
        )
        others = [weights.load_networks(files, dtype, other, {"whisper": torch.float32}) for other in further]
    return DiffusionEngine(networks, device, settings, files.fingerprint(), others)


class DiffusionEngine:
    """Renders videos with the networks of one model.

    ``networks`` are the modules by name, for hosts that place them themselves: without offloading the engine
    works wherever the denoiser is. ``others`` are copies on further devices, which share the work.
    ``settings`` are those it was loaded with, ``weights_name`` tells weights apart in resume files.
    ``exchange`` is given to an engine that works with those of other processes. ``graphs``: whether CUDA
    graphs are used where they can be.
    """

    def __init__(
        self,
        networks: Networks,
        device: torch.device,
        settings: Settings,
        weights_name: str = "",
        others: Sequence[Networks] = (),
    ) -> None:
        self.settings, self.weights_name, self.others = settings, weights_name, tuple(others)
        self._portrait = PortraitCache()
        self._heard: tuple[str, SpeechFeatures] | None = None
        self.nets, self.placement = networks, Placement(settings.offload, device)
        self.exchange: Exchange | None = None
        self.graphs = True

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks by name."""
        return dict(vars(self.nets))

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        if self.placement.offload != "none":
            return self.placement.device
        return next(self.nets.denoiser.parameters()).device

    @functools.cached_property
    def dtype(self) -> torch.dtype:
        """Number format of the denoiser."""
        return next(self.nets.denoiser.parameters()).dtype

    def _denoiser(self, nets: Networks, job: "Job") -> Callable[..., Tensor]:
        """The denoiser of one device; on a GPU, where its weights stay, as a CUDA graph."""
        net, device = nets.denoiser.arrange(), self._device_of(nets)
        stays = self.placement.offload == "none" and all(p.device == device for p in net.parameters())
        if device.type != "cuda" or not (stays and self.graphs):
            return net
        return CapturedForward(net, job.say, cuda_graph(device))

    def frames(
        self, conditions: Conditions, report: Report = silent, frames: range | None = None
    ) -> Generator[Picture, None, None]:
        """The pictures numbered ``frames``, all when None, decoded one by one as they are asked for.

        A range needs the latents of the whole video too: every frame is denoised together with its
        neighbours. Goes on from the state beside ``conditions.output`` if an earlier run of the same job left
        one. Raising from ``report`` stops between two windows; the last whole step is kept.
        """
        with float32_products(self.settings.dtype):
            latents = self._latents(self._job(conditions, report))
            if self.exchange is not None and self.exchange.rank:
                return  # the first process makes the pictures
            with self.placement.working(self.nets.vae), enough_memory(conditions.settings, "decoding"):
                self.nets.vae.arrange()
                wanted = range(len(latents)) if frames is None else frames
                yield from FrameDecoder(self._autoencoders(), report).frames(latents, wanted)

    def finished(self, conditions: Conditions) -> None:
        """To be called when the video is complete and in its place: what was kept for resuming is removed."""
        forget(conditions.output)

    def _job(self, conditions: Conditions, report: Report) -> "Job":
        settings, guide = conditions.settings, guide_for(conditions, report)
        sampler = Sampler(settings.scheduler, settings.steps or 1, settings.seed)
        dtype = "tf32" if self.settings.dtype == "tf32" else str(self.dtype)
        made = {"weights": self.weights_name, "device": self.device.type, "dtype": dtype}
        name = functools.partial(job_of, conditions, guide.digest(), **made)
        file = None
        if conditions.output is not None and settings.resume:
            file = ResumeFile(state_of(conditions.output), name(), functools.partial(say, report))
        if self.exchange is not None:
            self.exchange.agree(name())
        return Job(conditions, guide, Rules.of(settings, self.dtype), sampler, file, report)

    def _latents(self, job: "Job") -> Tensor:
        """The finished latents of the whole video, (F, 4, h, w)."""
        saved = job.file.load() if job.file else None
        if self.exchange is not None:
            saved = self.exchange.first(saved)
        if saved is None:
            width, height = job.conditions.view.size
            frames, seed = job.conditions.frames, job.settings.seed
            saved = Saved(0, first_noise(frames, height, width, seed, job.rules, job.sampler.sigma))
        else:
            job.sampler.restore(saved.scheduler)
            job.say(f"going on after step {saved.done} of {len(job.sampler.timesteps)}")
        return saved.latents if saved.done == len(job.sampler.timesteps) else self._denoised(job, saved)

    def _denoised(self, job: "Job", saved: Saved) -> Tensor:
        settings, latents = job.settings, saved.latents
        if job.sampler.on_device and latents.numel() * latents.itemsize <= LATENTS_ON_DEVICE:
            latents = latents.to(self.device)
        reference, tokens = self._reference(job), latents[0, 0].numel()
        plan = WindowPlan(
            job.conditions.frames, settings.context_frames, settings.context_overlap, job.rules.rotation
        )
        covering = windows_for(settings)
        windows = functools.partial(covering, plan)
        batch = batch_for(settings, len(latents), tokens, self.device, self.dtype)
        if self.exchange is not None:
            batch.size = 1  # all processes exchange predictions of one shape
        reuse = self._reuse(job, batch, windows, tokens, cycle_of(covering, plan))
        with (
            self.placement.working(self.nets.denoiser, self.nets.guider),
            enough_memory(settings, "denoising"),
            self._crew(self._predictors(job, reference, batch, reuse)) as crew,
            keep_states(job.file, saved.done) as keep,
        ):
            steps = denoise(
                latents,
                job.sampler,
                crew,
                reuse.windows if reuse else windows,
                divide=job.rules.divide,
                begin=saved.done,
                batch=batch,
            )
            for moment in report_steps(steps, len(job.sampler.timesteps), job.report):
                latents = moment.latents
                if moment.velocity is not None:
                    refuse_overflow(latents, self.dtype)
                    if reuse is None or reuse.may_begin(moment.step + 1):
                        keep(Saved(moment.step + 1, latents.cpu(), job.sampler.state()))
        if self.exchange is not None:
            self.exchange.meet()
        return latents

    def _crew(self, predictors: list[Predictor]) -> Crew:
        threads = cores_each([predictor.device for predictor in predictors])
        if self.exchange is None:
            return Crew(predictors, threads)
        return SharedCrew(predictors, self.exchange, threads)

    def _autoencoders(self) -> list[tuple[Autoencoder, torch.device]]:
        """One of every device that shares a video; where networks come and go, the first one's."""
        return [(self.nets.vae, self.device), *((n.vae, self._device_of(n)) for n in self.others)]

    def _reuse(
        self, job: "Job", batch: WindowBatch, plan: Callable[[int], list[Window]], tokens: int, cycle: int
    ) -> StepReuse | None:
        """What the steps hand on at the settings' speed, of which the user is told; None for exact."""
        name, steps = job.settings.speed, len(job.sampler.timesteps)
        speed = SPEEDS.get(name)
        if speed is None:
            return None
        speed, near = speed.of(cycle), self.placement.offload == "none"
        channels = self.nets.denoiser.config.deep_channels(speed.layers)
        job.say(speed.note(name, steps, (job.settings.cfg or 0) > 1))
        features = batch.length * channels * tokens * self.dtype.itemsize
        return StepReuse(speed, steps, plan, features, near, cycle)

    def _predictors(
        self,
        job: "Job",
        reference: Callable[[Networks], ReferenceKV],
        batch: WindowBatch,
        reuse: StepReuse | None,
    ) -> list[Predictor]:
        """One for every device, the first one's first; all hear the speech through the first one's
        encoder."""
        speech = job.conditions.speech
        job.report(Progress("audio", 0, 1))
        name = f"{speech_digest(speech)} {job.conditions.fps} {self._device_of(self.nets)}"
        mel = LogMel(speech.read, speech.samples)
        if self._heard is None or self._heard[0] != name:
            self._heard = name, SpeechFeatures(self.nets.whisper, mel, job.conditions.fps)
        heard = self._heard[1]
        heard.mel = mel  # the last video's file may be gone
        job.report(Progress("audio", 1, 1))
        last = len(heard) - 1
        return [
            Predictor(
                self._denoiser(nets, job),
                reference(nets),
                audio=lambda frames: heard.window([min(frame, last) for frame in frames]),
                guide=GuideFeatures(nets.guider, job.guide, self._device_of(nets)),
                cfg=job.settings.cfg or 0,
                device=self._device_of(nets),
                dtype=self.dtype,
                batch=batch,
                reuse=reuse,
            )
            for nets in (self.nets, *self.others)
        ]

    def _device_of(self, nets: Networks) -> torch.device:
        return self.device if nets is self.nets else next(nets.denoiser.parameters()).device

    @torch.inference_mode()
    def _reference(self, job: "Job") -> Callable[[Networks], ReferenceKV]:
        """Features of the portrait, of the last one as kept. They are projected when the denoiser works."""
        job.report(Progress("reference", 0, 1))
        portrait = pictures.to_tensor(pictures.reference_picture(job.conditions), *job.conditions.view.size)
        decides = (
            self.weights_name,
            self.dtype,
            self.settings.dtype,
            self.nets.vae.dtype,
            self.nets.vae.tiled,
        )
        hidden_states = self._portrait.hidden_states(
            portrait, decides, self.device, lambda: self._seen(job, portrait)
        )
        if job.rules.half_reference:
            hidden_states = {name: state.half().to(self.dtype) for name, state in hidden_states.items()}
        job.report(Progress("reference", 1, 1))
        return lambda nets: self._projected(nets, hidden_states)

    def _seen(self, job: "Job", portrait: Tensor) -> HiddenStates:
        """One pass of the reference net over the portrait."""
        net = self.nets.vae
        with self.placement.working(net), enough_memory(job.settings, "encoding the portrait"):
            latent = tiled_if_needed(net, lambda: vae.encode(net, portrait.to(self.device, net.dtype)))
        with (
            self.placement.visiting(self.nets.reference),
            enough_memory(job.settings, "reading the portrait"),
        ):
            return self.nets.reference.hidden_states(latent.to(self.device, self.dtype))

    @torch.inference_mode()
    def _projected(self, nets: Networks, hidden_states: Mapping[str, Tensor]) -> ReferenceKV:
        """Keys and values of the reference features, computed where the denoiser lies."""
        where = next(nets.denoiser.parameters()).device
        projected = nets.denoiser.project_reference(
            {name: state.to(where) for name, state in hidden_states.items()}
        )
        return projected.to(self._device_of(nets))


@dataclass(frozen=True)
class Job:
    """What a video is denoised from, and where it is reported and kept; a value, which does nothing
    itself."""

    conditions: Conditions
    guide: Guide
    rules: Rules
    sampler: Sampler
    file: ResumeFile | None
    report: Report

    @property
    def settings(self) -> Settings:
        """How it is made."""
        return self.conditions.settings

    def say(self, note: str) -> None:
        """One line for the user."""
        say(self.report, note)


def report_steps(steps: Iterator[StepState], total: int, report: Report) -> Iterator[StepState]:
    """Passes the moments on and reports them: windows done of all, step, window,
    time left, and a rough picture."""
    began = time.monotonic()
    for seen, moment in enumerate(steps, 1):
        yield moment
        done = moment.step * moment.windows + moment.window
        left = (time.monotonic() - began) / seen * (total * moment.windows - done)
        place = f"step {moment.step + 1} of {total}, window {moment.window} of {moment.windows}"
        note = f"{place}, {_clock(left)} left"
        picture = None if moment.clean is None else pictures.glimpse(moment.clean)
        report(Progress("denoising", done, total * moment.windows, note, picture))


def _clock(seconds: float) -> str:
    """4000 → ``1:06:40``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
