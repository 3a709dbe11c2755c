"""The portrait of a live session: looked at once, then shared by as many sessions as want it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echomimic.arrays import Picture
from echomimic.conditions import gather
from echomimic.errors import SettingsError
from echomimic.media.audio import RATE, Speech
from echomimic.preview.engine import renderer_for
from echomimic.preview.renderer import PreviewRenderer
from echomimic.progress import Report, silent
from echomimic.request import Settings


@dataclass(frozen=True, eq=False)
class LivePortrait:
    """A portrait that is ready to be drawn: ``size`` is (width, height) of its frames."""

    renderer: PreviewRenderer
    settings: Settings
    size: tuple[int, int]


def prepare(
    portrait: Picture | Path | str,
    settings: Settings | None = None,
    *,
    face: int = 0,
    report: Report = silent,
) -> LivePortrait:
    """Finds the face and makes everything that does not depend on the speech; takes about half a second.

    Raises :class:`NoFaceError`, another :class:`InputError`, or :class:`SettingsError` for V1 and V2.
    """
    settings = settings or Settings(size=512)
    if settings.variant.engine != "preview":
        raise SettingsError(f"{settings.model} is too slow to be live; use the model preview", "model")
    nothing = Speech.from_array(np.zeros(RATE, np.float32), RATE, "nothing yet")
    seen = gather(portrait, nothing, settings, face=face, allow_silence=True, report=report)
    return LivePortrait(renderer_for(seen), seen.settings, seen.view.size)
