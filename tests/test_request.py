"""Options: the classic names, defaults and ranges, and messages that say what to do."""

from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from echomimic.errors import SettingsError
from echomimic.keywords import Options
from echomimic.option import options
from echomimic.request import MAX_SEED, Request, Settings
from echomimic.variants import VARIANTS, ModelName

CLASSIC = {  # name: default shown, range of the node
    "seed": (0, (0, MAX_SEED)),
    "cfg": (2.5, (0, 10)),
    "steps": (30, (1, 100)),
    "fps": (25, (5, 100)),
    "sample_rate": (16000, (8000, 48000)),
    "facemask_ratio": (0.1, (0, 1)),
    "facecrop_ratio": (0.8, (0, 1)),
    "context_frames": (12, (0, 50)),
    "context_overlap": (3, (0, 10)),
    "length": (0, (0, 5000)),
    "width": (512, (128, 1024)),
    "height": (512, (128, 1024)),
}


@pytest.mark.parametrize("name", CLASSIC)
def test_classic_option(name: str) -> None:
    option = {o.name: o for o in options(Settings)}[name]
    default, span = CLASSIC[name]
    assert (option.default if option.shown is None else option.shown) == default
    assert (option.widget[:2] if option.widget else (option.low, option.high)) == span
    assert option.help


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cfg": 10.5}, "0 to 10"),
        ({"seed": -1}, f"0 to {MAX_SEED}"),
        ({"steps": 2.5}, "whole number"),
        ({"seed": float("inf")}, f"0 to {MAX_SEED}"),
        ({"steps": float("nan")}, "number"),
        ({"model": "v9"}, "v2-acc"),
        ({"context_frames": 40}, "32 positions"),
        ({"context_frames": 3}, "smaller than context_frames"),
        ({"model": "v1", "width": 500}, "choose 512, the nearest"),
        ({"model": "v2", "height": 2048}, "128 to 1024"),
        ({"width": 40}, "64 to 2160"),
        ({"size": 512, "width": 512}, "not both"),
        ({"paste_back": True}, "crop head"),
        ({"faithful": "yes"}, "true or false"),
    ],
)
def test_unusable_settings_say_what_to_do(change: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Settings(**change)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    settings = Settings(seed=np.int64(3), fps=np.float32(20))
    assert (settings.seed, settings.fps) == (3, 20.0)
    assert (type(settings.seed), type(settings.fps)) == (int, float)


@pytest.mark.parametrize(
    ("model", "steps", "cfg", "fps", "size"),
    [
        ("v1", 30, 2.5, 24, 512),
        ("v1-acc", 6, 1.0, 24, 512),
        ("v2", 30, 2.5, 24, 768),
        ("v2-acc", 6, 1.0, 24, 768),
    ],
)
def test_official_defaults(model: str, steps: int, cfg: float, fps: float, size: int) -> None:
    settings = Settings(model=model).resolved()  # type: ignore[arg-type]
    assert (settings.steps, settings.cfg, settings.fps, settings.variant.size) == (steps, cfg, fps, size)


def test_what_a_user_gives_wins_over_the_models_default() -> None:
    settings = Settings(model="v1-acc", steps=9, cfg=3, fps=30).resolved()
    assert (settings.steps, settings.cfg, settings.fps) == (9, 3.0, 30.0)


def test_changed_options_that_the_model_never_reads_are_named() -> None:
    assert Settings(steps=5).unused() == ("steps",)
    assert Settings(model="v1", steps=5, gaze=0.5).unused() == ("gaze",)


def test_request_takes_paths_as_text() -> None:
    request = Request("face.png", "speech.wav", "out.mp4")  # type: ignore[arg-type]
    assert request.output.suffix == ".mp4"
    with pytest.raises(SettingsError, match="0 to 99"):
        Request("face.png", "speech.wav", "out.mp4", face=-1)  # type: ignore[arg-type]


def test_every_variant_is_complete() -> None:
    for row in VARIANTS.values():
        parts = {"denoising_unet", "motion_module", "reference_unet", "guider", "vae", "whisper"}
        assert set(row.files) == (parts if row.engine == "diffusion" else set())


def test_every_option_can_be_spelled_for_animate() -> None:
    given = get_type_hints(Settings) | get_type_hints(Request)
    given = {name: hint for name, hint in given.items() if name not in ("portrait", "speech", "output")}
    paths = {"weights": Path | str | None, "vae": Path | str | None, "sign_key": Path | str | None}
    assert get_type_hints(Options) == given | paths


def test_the_models_that_can_be_spelled_are_the_rows_there_are() -> None:
    assert get_args(ModelName) == tuple(VARIANTS)


def test_choices_are_those_of_the_types() -> None:
    found = {option.name: option for option in options(Settings)}
    assert found["offload"].choices == ("none", "model", "sequential")
    assert found["model"].choices == tuple(VARIANTS)
    assert found["scheduler"].choices == ()
