"""The classic node's version and inference mode as one row of :mod:`echomimic.variants`."""

from collections.abc import Mapping

from echomimic.errors import SettingsError

VERSIONS = ("Preview", "V1", "V2")
MODES = ("audio_drived", "audio_drived_acc", "pose_normal", "pose_acc")

_VARIANTS: Mapping[tuple[str, str], str] = {
    **{("Preview", mode): "preview" for mode in MODES},
    ("V1", "audio_drived"): "v1",
    ("V1", "audio_drived_acc"): "v1-acc",
    ("V1", "pose_normal"): "v1-pose",
    ("V1", "pose_acc"): "v1-pose-acc",
    # V2 is always driven by speech and pose together.
    ("V2", "audio_drived"): "v2",
    ("V2", "audio_drived_acc"): "v2-acc",
    ("V2", "pose_normal"): "v2",
    ("V2", "pose_acc"): "v2-acc",
}

# Spellings of earlier node packs.
_OLDER = {
    "audio_driven": "audio_drived",
    "audio_driven_acc": "audio_drived_acc",
    "pose_normal_dwpose": "pose_normal",
    "pose_normal_sapiens": "pose_normal",
    "pose_drived": "pose_normal",
    "pose_driven": "pose_normal",
    "pose_drived_acc": "pose_acc",
    "pose_driven_acc": "pose_acc",
    "pose": "pose_normal",
    "acc": "audio_drived_acc",
}


def variant_name(version: str, mode: str) -> str:
    """The variant's name, e.g. ``v1-pose``; raises :class:`SettingsError` that lists what there is."""
    by_name = {known.lower(): known for known in VERSIONS}
    known = by_name.get(str(version).strip().lower().removeprefix("echomimic").strip(" _-"))
    if known is None:
        raise SettingsError(f"version {version!r} is unknown; choose one of {', '.join(VERSIONS)}")
    return _VARIANTS[known, spelled_now(mode)]


def spelled_now(mode: str) -> str:
    """The inference mode in today's spelling; raises :class:`SettingsError` that lists what there is."""
    spelled = str(mode).strip().lower()
    spelled = _OLDER.get(spelled, spelled)
    if spelled not in MODES:
        raise SettingsError(f"infer_mode {mode!r} is unknown; choose one of {', '.join(MODES)}")
    return spelled
