"""Tiny networks, loaded once, and conditions to render from in seconds."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from echomimic.conditions import Conditions, driver_for
from echomimic.diffusion.engine import DiffusionEngine, load_engine
from echomimic.faces.detect import Face, find_faces
from echomimic.framing.view import view_of
from echomimic.media.audio import Speech
from echomimic.media.image import Picture, read_picture
from echomimic.request import Settings
from tests import tiny

EXAMPLE = Path(__file__).resolve().parents[2] / "echomimic" / "example"
Make = Callable[..., Conditions]


@functools.cache
def example() -> tuple[Picture, Face, Speech]:
    """The shipped portrait, its face, and the first seconds of the shipped speech."""
    picture = read_picture(EXAMPLE / "portrait.jpg")
    speech = Speech.open(EXAMPLE / "speech.flac").read(0, 20_000)
    return picture, find_faces(picture)[0], Speech.from_array(speech, 16_000)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of tiny weights by family."""
    return functools.cache(lambda family: tiny.write(tmp_path_factory.mktemp(family), family))


@pytest.fixture(scope="session")
def engine(weights: Callable[[str], Path]) -> Callable[[str], DiffusionEngine]:
    """A loaded engine by model, float32 on the CPU."""

    def load(model: str) -> DiffusionEngine:
        settings = Settings(model=model, weights=weights(model[:2]), device="cpu", dtype="fp32")  # type: ignore[arg-type]
        return load_engine(settings)

    return functools.cache(load)


@pytest.fixture
def make() -> Make:
    """Conditions of a 6-frame, 128 × 128 pixel video in 2 steps of 2 windows, or as asked for."""

    def conditions(
        model: str = "v1-acc",
        *,
        frames: int = 6,
        driver: str = "auto",
        output: Path | None = None,
        **options: object,
    ) -> Conditions:
        given = {"steps": 2, "width": 128, "height": 128, "context_frames": 4, "context_overlap": 1} | options
        settings = Settings(model=model, **given).resolved()  # type: ignore[arg-type]
        picture, face, speech = example()
        view, _ = view_of(picture, face, settings)
        fps = settings.fps or 24
        followed = driver_for(driver, settings, fps)
        return Conditions(picture, face, view, speech, frames, fps, settings, followed, output)

    return conditions
