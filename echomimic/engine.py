"""Engines turn conditions into frames. The only part that differs between models."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

from echomimic.conditions import Conditions
from echomimic.errors import ResourceError
from echomimic.keywords import LoadOptions
from echomimic.media.image import Picture
from echomimic.progress import Report, silent
from echomimic.request import Settings
from echomimic.variants import ModelName

if TYPE_CHECKING:
    from typing_extensions import Unpack

_LOG = logging.getLogger(__package__)


class Engine(Protocol):
    """Renders one video after another; what it loaded stays loaded between them."""

    @property
    def settings(self) -> Settings:
        """What it was loaded with: model, device, number format, weights."""
        ...

    def frames(
        self, conditions: Conditions, report: Report = silent, frames: range | None = None
    ) -> Generator[Picture, None, None]:
        """The pictures numbered ``frames``, all of ``conditions.frames`` when None, in order.

        Each is (height, width, 3) uint8 of ``conditions.view``. A range equals that part of the whole.
        Closing the iterator, or raising from ``report``, stops the work and frees what it held.
        """
        ...

    def finished(self, conditions: Conditions) -> None:
        """Called when the video is complete and in its place: what was kept for going on can go."""
        ...


def load(
    model: ModelName | Settings = "preview", report: Report = silent, **options: Unpack[LoadOptions]
) -> Engine:
    """The engine for a model, its weights loaded; render as many videos with it as you like.

    ``model`` names a row of :data:`echomimic.VARIANTS`, or is complete settings; ``options`` say where its
    networks run and where its files are. Raises :class:`WeightsError` or :class:`ResourceError` when it is
    not here.
    """
    given = model if isinstance(model, Settings) else Settings(model=model)
    named: dict[str, Any] = {**options}
    settings = dataclasses.replace(given, **named) if named else given
    _LOG.debug("loading the engine of %s", settings.model)
    if settings.variant.engine == "preview":
        from echomimic.preview.engine import PreviewEngine

        return PreviewEngine(settings)
    try:
        from echomimic.diffusion.engine import load_engine
    except ImportError as error:
        remedy = 'run: pip install "echomimic-studio[diffusion]"'
        raise ResourceError(
            f"{settings.model} needs packages that are missing ({error.name}); {remedy}"
        ) from None
    return load_engine(settings, report)
