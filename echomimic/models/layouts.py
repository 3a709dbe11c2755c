"""Where weights lie on disk, and finding them without copying anything.

Understood: the official ``pretrained_weights`` folders of V1 and V2, the ComfyUI node pack's
``models/echo_mimic``, folders written by ``echomimic weights convert``, and the Hugging Face cache. Only
names are looked at here; what is inside the files is judged when they are opened. Needs no torch.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from echomimic.errors import WeightsError
from echomimic.variants import VARIANTS, Variant
from echomimic.variants import variant as row_of

CARD = "echomimic.json"
"""Beside weights: which converted files make which model,
and the sizes of networks that are not the official ones."""

COMPONENTS = ("denoising_unet", "motion_module", "reference_unet", "guider", "vae", "whisper")
OWN = COMPONENTS[:4]
"""Components every model family has for itself; the other two are shared by all."""

VAE_REPO, WHISPER_REPO = "stabilityai/sd-vae-ft-mse", "openai/whisper-tiny"
_VAE_NAMES = (
    "sd-vae-ft-mse/diffusion_pytorch_model.safetensors",
    "sd-vae-ft-mse/diffusion_pytorch_model.bin",
    "vae/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.bin",
    "sd-vae-ft-mse.safetensors",
)
_VAE_IN_COMFYUI = ("*ft-mse*.safetensors", "*ft_mse*.safetensors", "diffusion_pytorch_model.safetensors")
_WHISPER_NAMES = (
    "audio_processor/whisper_tiny.pt",
    "audio_processor/tiny.pt",
    "whisper_tiny.pt",
    "tiny.pt",
    "audio_processor/whisper-tiny/model.safetensors",
    "whisper-tiny/model.safetensors",
)


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files one model is loaded from.

    ``paths`` has every component; a converted folder keeps motion modules in the denoising file, so both name
    the same file there. ``networks`` holds sizes of networks that are not the official ones (see
    ``weights.Sizes``).
    """

    variant: str
    paths: Mapping[str, Path]
    networks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(path.stat().st_size for path in set(self.paths.values()))

    def fingerprint(self) -> str:
        """A short name for the content: sizes and samples of every file,
        so it survives moving and copying."""
        digest = hashlib.sha256()
        for name in COMPONENTS:
            digest.update(f"{name}:{content(self.paths[name])}".encode())
        return digest.hexdigest()[:32]


def content(path: Path, pieces: int = 32, length: int = 4096) -> str:
    """A short name for what is in a file, from its size and samples spread over it."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for i in range(pieces):
            file.seek(max(0, (size - length) * i // (pieces - 1)))
            digest.update(file.read(length))
    return digest.hexdigest()


def find(variant: str, weights: Path | None = None, vae: Path | None = None) -> WeightFiles:
    """The files of ``variant``: in ``weights`` if given, else in ``ECHOMIMIC_HOME``, else in the Hugging Face
    cache.

    The shared autoencoder and Whisper encoder are looked for beside them first, then in the other places.
    ``vae`` names an autoencoder to use instead: its file, or the folder of its ``diffusion_pytorch_model``.
    Raises :class:`WeightsError` that names what is missing, where it was looked for and what to do.
    """
    row = row_of(variant)
    if not row.files:
        raise WeightsError(f"the model {variant} needs no weights; choose another")
    given = {} if vae is None else {"vae": _vae_file(vae)}
    roots = _roots(row, weights)
    for root in roots:
        for folder in _folders(root, row):
            card = read_card(folder)
            if variant in card.get("models", {}):
                paths = _converted(row, folder, card)
                return WeightFiles(variant, {**paths, **given}, card.get("networks", {}))
            own = _own(row, folder)
            if len(own) == len(OWN):
                found = {**own, **_shared(row, [folder, *_around(folder, root), *_elsewhere(row)]), **given}
                if len(found) == len(COMPONENTS):
                    return WeightFiles(variant, found, card.get("networks", {}))
    raise _missing(row, roots, given)


def present(variant: str, weights: Path | None = None) -> dict[str, Path]:
    """The components of ``variant`` that are there, complete or not,
    from the place :func:`find` would use."""
    row = row_of(variant)
    try:
        return dict(find(variant, weights).paths)
    except WeightsError:
        roots = [root for root in _roots(row, weights) if root.is_dir()]
    places = [folder for root in roots for folder in _folders(root, row)]
    own = max((_own(row, folder) for folder in places), key=len, default={})
    return {**own, **_shared(row, [*places, *_elsewhere(row)])}


def model_folder(row: Variant, root: Path) -> Path | None:
    """The folder under ``root`` that holds the model: a converted one, or one with its denoising file."""
    folders = _folders(_roots(row, root)[0], row)
    for folder in folders:
        if row.name in read_card(folder).get("models", {}):
            return folder
    return next((folder for folder in folders if "denoising_unet" in _own(row, folder)), None)


def expected(row: Variant, folder: Path, root: Path) -> dict[str, Path]:
    """Where every component of the model is, or would be if it were there;
    ``folder`` is its :func:`place`."""
    card = read_card(folder)
    if names := card.get("models", {}).get(row.name):
        return {name: folder / names[name] for name in COMPONENTS}
    shared = _shared(row, [folder, *_around(folder, root), *_elsewhere(row)])
    missing = {name: folder / row.files[name] for name in COMPONENTS}
    return {**missing, **_own(row, folder), **shared}


def is_zip(path: Path) -> bool:
    """Whether a file is a zip archive with a sound end; Python raises for some ends that are damaged."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return False


def read_card(folder: Path) -> dict[str, Any]:
    """What ``echomimic.json`` in ``folder`` says; {} without one.
    Raises :class:`WeightsError` if it is unreadable."""
    path = folder / CARD
    if not path.is_file():
        return {}
    try:
        card = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); convert the weights again") from error
    if not isinstance(card, dict) or card.get("format") != 1 or not _sound(card):
        raise WeightsError(f"{path} is not of format 1; convert the weights again with this version")
    return card


def _sound(card: Mapping[str, Any]) -> bool:
    """Whether a card has the right types and names files inside its folder only."""
    models, networks = card.get("models", {}), card.get("networks", {})
    if not (isinstance(models, dict) and isinstance(networks, dict)):
        return False
    if not all(isinstance(names, dict) and set(names) == set(COMPONENTS) for names in models.values()):
        return False
    paths = [name for names in models.values() for name in names.values()]
    return all(isinstance(p, str) and not Path(p).is_absolute() and ".." not in Path(p).parts for p in paths)


def home_folder() -> Path | None:
    """The folder named by ``ECHOMIMIC_HOME``, if it is set."""
    value = os.environ.get("ECHOMIMIC_HOME", "").strip()
    return _expanded(value) if value else None


def cache() -> Path:
    """The Hugging Face cache, as huggingface_hub places it
    (``HF_HUB_CACHE``, ``HF_HOME``, ``XDG_CACHE_HOME``)."""
    if value := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return _expanded(value)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _expanded(os.environ.get("HF_HOME") or f"{base}/huggingface") / "hub"


def _expanded(path: str | Path) -> Path:
    """``path`` with ``~`` as the home folder, if this user has one."""
    return Path(os.path.expanduser(path))


def snapshot(repo: str) -> Path | None:
    """The newest snapshot of ``repo`` in the Hugging Face cache."""
    folder = cache() / f"models--{repo.replace('/', '--')}"
    try:
        named = folder / "snapshots" / (folder / "refs" / "main").read_text("utf-8").strip()
    except OSError:
        return None
    return named if named.is_dir() else None


def _roots(row: Variant, weights: Path | None) -> list[Path]:
    if weights is not None:
        weights = _expanded(weights)
        if not os.path.isdir(weights):
            what = (
                "is a file; give the folder it lies in"
                if os.path.exists(weights)
                else "does not exist; give another"
            )
            raise WeightsError(f"the weights folder {weights} {what}")
        return [weights]
    return [model_folder for model_folder in (home_folder(), snapshot(row.repo)) if model_folder is not None]


def _folders(root: Path, row: Variant) -> list[Path]:
    """Folders under ``root`` that may hold the family's own files, the most specific first."""
    kind = row.family
    bases = [root, root / "pretrained_weights", root / "echo_mimic", root / "models" / "echo_mimic"]
    named = [base / name for base in bases for name in (kind, row.repo.rpartition("/")[2])]
    return [folder for folder in (*named, *bases) if folder.is_dir()]


def _around(folder: Path, root: Path) -> Iterator[Path]:
    """Where shared files may lie beside ``folder``:
    ``root``, the folder above a family's, the node pack's."""
    yield root
    if folder.name in ("v1", "v2", "EchoMimic", "EchoMimicV2"):
        yield folder.parent


def _elsewhere(row: Variant) -> list[Path]:
    repos = (row.repo, VARIANTS["v1"].repo)
    return [
        model_folder for model_folder in (home_folder(), *map(snapshot, repos)) if model_folder is not None
    ]


def _own(row: Variant, folder: Path) -> dict[str, Path]:
    if _stranger(row, folder):
        return {}
    found: dict[str, Path] = {}
    for name in OWN:
        official = folder / row.files[name]
        for path in (official.with_suffix(".safetensors"), official):
            if path.is_file():
                found.setdefault(name, path)
    return found


def _shared(row: Variant, folders: list[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    if vae := next(_vaes(folders), None):
        found["vae"] = vae
    if whisper := next(_whispers(row, folders), None):
        found["whisper"] = whisper
    return found


def _vaes(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from (folder / name for name in _VAE_NAMES if (folder / name).is_file())
        for pack in (folder, folder.parent):
            if pack.name == "echo_mimic":
                comfyui = pack.parent / "vae"
                yield from (path for glob in _VAE_IN_COMFYUI for path in sorted(comfyui.glob(glob)))
    if found := snapshot(VAE_REPO):
        names = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
        yield from (found / name for name in names if (found / name).is_file())


def _whispers(row: Variant, folders: list[Path]) -> Iterator[Path]:
    names = (row.files["whisper"], *_WHISPER_NAMES)
    for folder in folders:
        yield from (folder / name for name in names if (folder / name).is_file())
    if (found := snapshot(WHISPER_REPO)) and (found / "model.safetensors").is_file():
        yield found / "model.safetensors"


def _vae_file(path: Path) -> Path:
    inside = [path / f"diffusion_pytorch_model{suffix}" for suffix in (".safetensors", ".bin")]
    for file in (path, *inside):
        if file.is_file():
            return file
    raise WeightsError(
        f"{path} is no autoencoder; give its file, or the folder of its diffusion_pytorch_model"
    )


def _converted(row: Variant, folder: Path, card: Mapping[str, Any]) -> dict[str, Path]:
    names = card["models"][row.name]
    paths = {name: folder / names[name] for name in COMPONENTS}
    if gone := [name for name in dict.fromkeys(names.values()) if not (folder / name).is_file()]:
        raise WeightsError(f"{folder} lacks {', '.join(gone)}; convert the weights again")
    return paths


def _missing(row: Variant, roots: list[Path], given: Mapping[str, Path]) -> WeightsError:
    remedy = f"run `echomimic weights get {row.name}` or point --weights at the folder that has them"
    if not roots:
        return WeightsError(
            f"no weights for {row.name}: ECHOMIMIC_HOME is not set and nothing is cached; {remedy}"
        )
    folders = [folder for root in roots for folder in _folders(root, row)]
    if mixed := _other_family(row, folders) or _not_converted(row, folders):
        return mixed
    best = max(folders, key=lambda folder: len(_own(row, folder)), default=roots[0])
    have = {**_own(row, best), **_shared(row, [*folders, *_elsewhere(row)]), **given}
    gone = ", ".join(row.files[name] for name in COMPONENTS if name not in have)
    looked = ", ".join(dict.fromkeys(map(str, [best, *roots])))
    return WeightsError(
        f"weights for {row.name} are incomplete: {gone} not found (looked in {looked}); {remedy}"
    )


def _stranger(row: Variant, folder: Path) -> str:
    """The guider of the other family, if ``folder`` has that one only: V1 and V2 name the rest alike."""
    guiders = {
        mine: {r.files["guider"] for r in VARIANTS.values() if r.files and r.family == mine}
        for mine in ("v1", "v2")
    }
    if any((folder / name).exists() for name in guiders[row.family]):
        return ""
    others = guiders["v2" if row.family == "v1" else "v1"]
    return next((name for name in sorted(others) if (folder / name).exists()), "")


def _other_family(row: Variant, folders: list[Path]) -> WeightsError | None:
    if any((folder / row.files["guider"]).exists() for folder in folders):
        return None
    for folder in folders:
        if name := _stranger(row, folder):
            mine, theirs = ("V1", "V2") if row.family == "v1" else ("V2", "V1")
            return WeightsError(
                f"{folder} holds {theirs} weights ({name}), but {row.name} needs "
                f"{mine}'s ({row.files['guider']}); "
                f"run `echomimic weights get {row.name}` or choose a {theirs} model"
            )
    return None


def _not_converted(row: Variant, folders: list[Path]) -> WeightsError | None:
    for folder in folders:
        if (models := read_card(folder).get("models", {})) and not _own(row, folder):
            return WeightsError(
                f"{folder} holds converted weights of {', '.join(models)} only; convert {row.name} as well"
            )
    return None
