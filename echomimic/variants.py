"""The variants: one row of weights and defaults each. The only place that knows which models and modes exist.

Numbers are those of the official scripts (V1: Chen et al. 2024, arXiv 2407.08136; V2: Meng et al. 2024,
arXiv 2411.10061). ``v1`` and ``v2`` share one architecture and one loop; a row says all that differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from echomimic.errors import SettingsError

ModelName = Literal["preview", "v1", "v1-acc", "v1-pose", "v1-pose-acc", "v2", "v2-acc"]
Family = Literal["preview", "v1", "v2"]
Subject = Literal["head", "body"]
GuideKind = Literal["none", "mask", "landmarks", "hands"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to render.

    ``family`` is whose networks and files it has; ``subject`` whether a head or a half body is shown.
    ``guide`` is what the face locator or pose encoder sees: one face mask, landmark maps or hand maps.
    ``rotation`` is by how many frames the windows move per denoising step; ``noise_clamp`` bounds the first
    noise. ``sums_overlaps`` describes an official quirk that only ``faithful`` reproduces.
    ``sizes`` is (lowest, highest, step) in pixels for width and height.
    """

    name: ModelName
    title: str
    engine: Literal["preview", "diffusion"]
    family: Family
    subject: Subject
    guide: GuideKind
    size: int = 512
    fps: float = 24.0
    steps: int = 30
    cfg: float = 2.5
    rotation: int = 3
    noise_clamp: float | None = 1.5
    sums_overlaps: bool = False
    sizes: tuple[int, int, int] = (128, 1024, 64)
    repo: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


def _v1_files(suffix: str, pose: str, guider: str) -> dict[str, str]:
    return {
        "denoising_unet": f"denoising_unet{suffix}.pth",
        "motion_module": f"motion_module{suffix}.pth",
        "reference_unet": f"reference_unet{pose}.pth",
        "guider": guider,
        "vae": "sd-vae-ft-mse",
        "whisper": "audio_processor/whisper_tiny.pt",
    }


def _v2_files(suffix: str) -> dict[str, str]:
    return {
        "denoising_unet": f"denoising_unet{suffix}.pth",
        "motion_module": f"motion_module{suffix}.pth",
        "reference_unet": "reference_unet.pth",
        "guider": "pose_encoder.pth",
        "vae": "sd-vae-ft-mse",
        "whisper": "audio_processor/tiny.pt",
    }


_V1, _V2 = "BadToBest/EchoMimic", "BadToBest/EchoMimicV2"
_ROWS = (
    Variant(
        "preview",
        "Preview (no download, any CPU)",
        "preview",
        "preview",
        "head",
        "none",
        fps=25.0,
        sizes=(64, 2160, 2),
    ),
    Variant(
        "v1",
        "EchoMimic V1, audio",
        "diffusion",
        "v1",
        "head",
        "mask",
        rotation=2,
        sums_overlaps=True,
        repo=_V1,
        files=_v1_files("", "", "face_locator.pth"),
    ),
    Variant(
        "v1-acc",
        "EchoMimic V1, audio, 6 steps",
        "diffusion",
        "v1",
        "head",
        "mask",
        rotation=2,
        steps=6,
        cfg=1.0,
        repo=_V1,
        files=_v1_files("_acc", "", "face_locator.pth"),
    ),
    Variant(
        "v1-pose",
        "EchoMimic V1, landmarks",
        "diffusion",
        "v1",
        "head",
        "landmarks",
        noise_clamp=None,
        repo=_V1,
        files=_v1_files("_pose", "_pose", "face_locator_pose.pth"),
    ),
    Variant(
        "v1-pose-acc",
        "EchoMimic V1, landmarks, 6 steps",
        "diffusion",
        "v1",
        "head",
        "landmarks",
        noise_clamp=None,
        steps=6,
        cfg=1.0,
        repo=_V1,
        files=_v1_files("_pose_acc", "_pose", "face_locator_pose.pth"),
    ),
    Variant(
        "v2",
        "EchoMimic V2, half body",
        "diffusion",
        "v2",
        "body",
        "hands",
        size=768,
        repo=_V2,
        files=_v2_files(""),
    ),
    Variant(
        "v2-acc",
        "EchoMimic V2, half body, 6 steps",
        "diffusion",
        "v2",
        "body",
        "hands",
        size=768,
        steps=6,
        cfg=1.0,
        repo=_V2,
        files=_v2_files("_acc"),
    ),
)

VARIANTS: Mapping[str, Variant] = {row.name: row for row in _ROWS}


def variant(name: str) -> Variant:
    """The row called ``name``; raises :class:`SettingsError` that lists the names there are."""
    try:
        return VARIANTS[name]
    except KeyError:
        raise SettingsError(f"unknown model {name!r}; choose one of {', '.join(VARIANTS)}") from None
