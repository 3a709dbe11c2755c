"""Official checkpoints into our networks: nothing loose, nothing unpickled that could run, little memory.

Every tensor of a network is accounted for before the first byte of data is read: what comes from which file,
what is computed, what is not used. ``strict=False`` does not occur. Modules are built on the meta device and
take the tensors of the files as their own (``assign=True``); what needs no cast stays memory-mapped.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from torch import Tensor, nn

from echomimic.errors import WeightsError
from echomimic.models.guider import Guider
from echomimic.models.keymaps import vae_names, whisper_names
from echomimic.models.layouts import WeightFiles
from echomimic.models.manifests import Shapes
from echomimic.models.networks import MOTION_PREFIX, NETWORKS, TABLE, Network, Sizes, build, shapes
from echomimic.models.unet import UNet
from echomimic.models.vae import Autoencoder
from echomimic.models.weight_file import Checkpoint, Spec
from echomimic.progress import Progress, Report, silent
from echomimic.variants import Variant
from echomimic.variants import variant as row_of

if TYPE_CHECKING:
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

N = TypeVar("N", bound=nn.Module)
Kind = Literal["missing", "unexpected", "shape", "dtype"]


@dataclass(frozen=True)
class Networks:
    """All networks of one model, ready for inference."""

    denoiser: UNet
    reference: UNet
    guider: Guider
    vae: Autoencoder
    whisper: "WhisperEncoder"


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in which a file is not what it should be; ``text`` names the tensors."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Source:
    """One file and the tensors a network takes from it: ``names`` maps ours → theirs.

    ``required`` must be there; ``tolerated`` may be there as well.
    """

    file: Checkpoint
    names: Mapping[str, str]
    required: Shapes
    tolerated: Shapes = field(default_factory=dict)

    def problems(self) -> list[Problem]:
        """What is wrong with the file, by names and shapes alone."""
        specs = {ours: self.file.specs[theirs] for ours, theirs in self.names.items()}
        known = {**self.tolerated, **self.required}
        gone = [key for key in self.required if key not in specs and not key.endswith(TABLE)]
        odd = [self.names[key] for key in specs if key not in known]
        both = [(key, spec, known[key]) for key, spec in specs.items() if key in known]
        shape = [
            f"{self.names[key]} is {s.shape}, expected {want}" for key, s, want in both if not _fits(s, want)
        ]
        dtype = [f"{self.names[key]} is {s.dtype}" for key, s, _ in both if not s.dtype.is_floating_point]
        kinds: tuple[tuple[Kind, str, list[str]], ...] = (
            ("missing", "lacks", gone),
            ("unexpected", "holds unknown", odd),
            ("shape", "does not fit:", shape),
            ("dtype", "holds no floating point numbers:", dtype),
        )
        return [Problem(kind, f"{verb} {_few(found)}") for kind, verb, found in kinds if found]


@dataclass(frozen=True)
class LoadPlan:
    """Where every tensor of one network comes from."""

    shapes: Shapes
    parts: tuple[tuple[Checkpoint, Mapping[str, str]], ...]
    computed: Mapping[str, Tensor]

    def tensors(
        self, dtype: torch.dtype | None, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield our name and the tensor, cast and moved one by one; ``dtype`` None keeps what is stored."""
        for file, names in self.parts:
            ours = {theirs: our for our, theirs in names.items()}
            for theirs, tensor in file.tensors(ours, dtype, device):
                yield ours[theirs], tensor.reshape(self.shapes[ours[theirs]])
        for name, tensor in self.computed.items():
            yield name, tensor.to(device=device, dtype=dtype)


def load_networks(
    files: WeightFiles,
    dtype: torch.dtype | None,
    device: torch.device | str = "cpu",
    dtypes: Mapping[Network, torch.dtype] | None = None,
    report: Report = silent,
) -> Networks:
    """All networks of the model whose files :func:`layouts.find` found.

    dtype: of all parameters; None keeps what is stored, so that on a CPU nothing is copied at all.
    dtypes: exceptions from ``dtype`` by network, such as ``{"whisper": torch.float32}``.
    report: told about every network, stage "weights".

    Raises WeightsError: a file is damaged, unsafe, or not that of this network.
    """
    found: dict[str, nn.Module] = {}
    for done, network in enumerate(NETWORKS):
        report(Progress("weights", done, len(NETWORKS), detail=network))
        found[network] = load_network(network, files, (dtypes or {}).get(network, dtype), device)
    report(Progress("weights", len(NETWORKS), len(NETWORKS)))
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    return Networks(
        denoiser=_expect(UNet, found["denoiser"]),
        reference=_expect(UNet, found["reference"]),
        guider=_expect(Guider, found["guider"]),
        vae=_expect(Autoencoder, found["vae"]),
        whisper=_expect(WhisperEncoder, found["whisper"]),
    )


def _expect(kind: type[N], module: nn.Module) -> N:
    """The module as what it is, which is looked at and not believed."""
    if not isinstance(module, kind):
        raise TypeError(f"{type(module).__name__} was built where {kind.__name__} belongs")
    return module


def load_network(
    network: Network, files: WeightFiles, dtype: torch.dtype | None, device: torch.device | str = "cpu"
) -> nn.Module:
    """One network of a model; see :func:`load`."""
    module = build(network, row_of(files.variant), Sizes.from_card(files.networks))
    want = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    state = dict(plan(network, files, want).tensors(dtype, device))
    module.load_state_dict(state, strict=True, assign=True)
    module.requires_grad_(False)
    if isinstance(module, UNet | Autoencoder):
        module.arrange()
    return module


def plan(network: Network, files: WeightFiles, want: Shapes | None = None) -> LoadPlan:
    """Account for every tensor of a network; ``want`` saves working out its shapes.

    Raises :class:`WeightsError` that names what does not add up.
    """
    row, sizes = row_of(files.variant), Sizes.from_card(files.networks)
    want = want or shapes(network, row, sizes)
    parts: list[tuple[Checkpoint, Mapping[str, str]]] = []
    for source in sources(network, row, files.paths, want):
        if problems := source.problems():
            raise _refusal(row, network, source.file.path, problems)
        taken = {name for _, names in parts for name in names}
        parts.append(
            (source.file, {k: v for k, v in source.names.items() if k in source.required and k not in taken})
        )
    absent = want.keys() - {name for _, names in parts for name in names}
    return LoadPlan(want, tuple(parts), _computed(network, row, sizes, absent))


def sources(network: Network, row: Variant, paths: Mapping[str, Path], want: Shapes) -> list[Source]:
    """The files of a network and what each is expected to hold.

    Motion modules come from their own file. If the denoising file holds some too, those win, as in the
    official loader; what else the motion file repeats of the denoiser is not used.
    """
    if network == "denoiser":
        return _denoiser_sources(Checkpoint(paths["denoising_unet"]), paths["motion_module"], want)
    file = Checkpoint(paths["reference_unet" if network == "reference" else network])
    names = {name: name for name in file.specs}
    if network == "vae":
        names = vae_names(file.specs)
    elif network == "whisper":
        names = whisper_names(file.specs)
        want = {key: shape for key, shape in want.items() if key in names or key != "embed_positions.weight"}
    return [Source(file, names, want)]


def _denoiser_sources(file: Checkpoint, motion_path: Path, want: Shapes) -> list[Source]:
    names = {name: name for name in file.specs}
    if motion_path == file.path:
        return [Source(file, names, want)]
    motion = {key: shape for key, shape in want.items() if MOTION_PREFIX in key}
    still = {key: shape for key, shape in want.items() if MOTION_PREFIX not in key}
    own = {key: shape for key, shape in motion.items() if key in names}
    second = Checkpoint(motion_path)
    return [
        Source(file, names, {**still, **own}),
        Source(second, {name: name for name in second.specs}, motion, tolerated=still),
    ]


def _computed(network: Network, row: Variant, sizes: Sizes, absent: Iterable[str]) -> dict[str, Tensor]:
    """Position tables a checkpoint may leave out."""
    absent = set(absent)
    if not absent:
        return {}
    if network == "denoiser":
        tables = _expect(UNet, build(network, row, sizes)).position_tables()
    else:
        from echomimic.models import audio

        tables = {"embed_positions.weight": audio.whisper_positions()}
    return {name: tables[name] for name in sorted(absent)}


def _fits(spec: Spec, want: tuple[int, ...]) -> bool:
    """Linear layers of the oldest autoencoder files are 1×1 convolutions."""
    return spec.shape in (want, (*want, 1, 1))


def _refusal(row: Variant, network: Network, path: Path, problems: list[Problem]) -> WeightsError:
    text = "; ".join(problem.text for problem in problems)
    if network == "guider" and "conv_in.weight" in text:
        text += f"; it belongs to another model than {row.name}, which needs {row.files['guider']}"
    return WeightsError(
        f"{path} is not the {network} of {row.name}: it {text}; get the right file or check the folder"
    )


def _few(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
