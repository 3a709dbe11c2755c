"""A VIDEO that says what it is in every file it is saved to."""

import json
from typing import Any

import torch

from echomimic.comfy import values
from echomimic.comfy.api import InputImpl, Types
from echomimic.media.video import Shape


class TaggedVideo(InputImpl.VideoFromComponents):  # type: ignore[misc]
    """Frames and sound; *Save Video*, and whatever else calls ``save_to``,
    writes the tag along with its own data."""

    tags: dict[str, Any]

    @classmethod
    def of(cls, image: torch.Tensor, sound: Any, fps: float, shape: Shape) -> "TaggedVideo":
        """The video of an IMAGE and an AUDIO, with the tags of ``shape``."""
        made = cls(Types.VideoComponents(images=image, audio=sound, frame_rate=values.rate_of(fps)))
        made.tags = {name: _written(text) for name, text in shape.tags.items()}
        return made

    def save_to(
        self, path: Any, format: Any = None, codec: Any = None, metadata: Any = None, **more: Any
    ) -> Any:
        """As the server's own, with the tag among the metadata."""
        given = {"format": format, "codec": codec}
        more |= {name: value for name, value in given.items() if value is not None}
        return super().save_to(path, metadata={**self.tags, **(metadata or {})}, **more)


def _written(text: str) -> Any:
    """A tag as the server's writer wants it: it writes everything as JSON,
    so what is JSON already is taken apart."""
    return json.loads(text) if text.startswith("{") else text
