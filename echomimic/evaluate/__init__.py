"""How good a video is: lips and sound, steadiness, life, look, person. The room itself can be called.

``echomimic.evaluate("talk.mp4", portrait="face.jpg")`` is :func:`echomimic.evaluate.run.evaluate`; Python
gives a package's attribute and its sub-package the same name, so the sub-package is made callable.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from echomimic.progress import Report, silent

if TYPE_CHECKING:
    from echomimic.evaluate.result import Evaluation
    from echomimic.evaluate.run import OwnNets


class _Callable(ModuleType):
    def __call__(
        self,
        video: Path | str,
        *,
        speech: Path | str | None = None,
        portrait: Path | str | None = None,
        reference: Path | str | None = None,
        nets: "OwnNets | None" = None,
        report: Report = silent,
    ) -> "Evaluation":
        """See :func:`echomimic.evaluate.run.evaluate`."""
        from echomimic.evaluate.run import evaluate

        return evaluate(
            video, speech=speech, portrait=portrait, reference=reference, nets=nets, report=report
        )


sys.modules[__name__].__class__ = _Callable
