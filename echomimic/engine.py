"""Engines turn conditions into frames. The only part that differs between models."""

from collections.abc import Generator
from typing import Protocol

from echomimic.conditions import Conditions
from echomimic.errors import ResourceError
from echomimic.media.image import Picture
from echomimic.progress import Report, silent
from echomimic.request import Settings


class Engine(Protocol):
    """Renders one video after another; what it loaded stays loaded between them."""

    def frames(self, conditions: Conditions, report: Report = silent) -> Generator[Picture, None, None]:
        """Exactly ``conditions.frames`` pictures, (height, width, 3) uint8 of ``conditions.view``, in order.

        Closing the iterator, or raising from ``report``, stops the work and frees what it held.
        """
        ...

    def finished(self, conditions: Conditions) -> None:
        """Called when the video is complete and in its place: what was kept for going on can go."""
        ...


def load(settings: Settings, report: Report = silent) -> Engine:
    """The engine for ``settings.model``; raises :class:`WeightsError` or :class:`ResourceError` when it is not here."""
    if settings.variant.engine == "preview":
        from echomimic.preview.engine import PreviewEngine

        return PreviewEngine()
    try:
        from echomimic.diffusion.engine import load_engine
    except ImportError as error:
        remedy = 'run: pip install "echomimic-studio[diffusion]"'
        raise ResourceError(f"{settings.model} needs packages that are missing ({error.name}); {remedy}") from None
    return load_engine(settings, report)
