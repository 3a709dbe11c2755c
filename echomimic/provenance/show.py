"""Reads back every mark that a file carries: the free detector for what this program makes."""

import json
from dataclasses import dataclass
from pathlib import Path

import av

from echomimic.errors import InputError
from echomimic.media.container import open_media
from echomimic.media.files import check_readable
from echomimic.media.image import open_picture
from echomimic.provenance.marks import AIGC, SOURCE_TYPE
from echomimic.provenance.signing import Signature, read_signature
from echomimic.provenance.xmp import PNG_KEYWORD, marks_in_xmp, read_xmp


@dataclass(frozen=True)
class Provenance:
    """What ``path`` says about itself; empty texts where it says nothing.
    ``aigc`` is the field's parsed JSON."""

    path: str
    title: str
    comment: str
    source_type: str
    aigc: dict[str, str]
    xmp: bool
    signature: Signature

    @property
    def marked(self) -> bool:
        """Whether anything in it says that it is generated."""
        return bool(self.aigc or self.source_type or "generated" in f"{self.title} {self.comment}".lower())


def read_provenance(path: Path | str, root: Path | None = None) -> Provenance:
    """Every mark of a video, picture or image sequence. Raises :class:`InputError` when it cannot be read."""
    path = Path(path)
    if root is not None:
        check_readable(root, InputError, "a root certificate (root.pem)")
        if b"-----BEGIN CERTIFICATE-----" not in root.read_bytes():
            raise InputError(f"{root} holds no certificate; give the root.pem of provenance init")
    if path.is_dir():
        first = next(iter(sorted(path.glob("*.png"))), None)
        if first is None:
            raise InputError(f"{path} holds no pictures; give a video, a picture, or an image sequence")
        tags, packet = _picture_tags(first)
    else:
        check_readable(path, InputError, "a video")
        tags, packet = _tags(path)
    fields = {**marks_in_xmp(packet or ""), **tags}
    lower = {key.lower(): value for key, value in fields.items()}
    return Provenance(
        str(path),
        lower.get("title", ""),
        lower.get("comment", ""),
        lower.get(SOURCE_TYPE.lower(), "").rpartition("/")[2],
        _parsed(lower.get(AIGC.lower(), "")),
        bool(packet),
        read_signature(path, root),
    )


def _tags(path: Path) -> tuple[dict[str, str], str | None]:
    if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        return _picture_tags(path)
    try:
        with open_media(path) as container:
            return dict(container.metadata), read_xmp(path)
    except (av.FFmpegError, ValueError):
        raise InputError(
            f"{path} is not a video or picture that this program reads; give one it wrote"
        ) from None


def _picture_tags(path: Path) -> tuple[dict[str, str], str | None]:
    try:
        with open_picture(path) as picture:
            texts = {str(k): str(v) for k, v in picture.info.items() if isinstance(v, str)}
    except MemoryError:
        raise
    except Exception:  # a damaged file can fail in any way its bytes happen to spell
        raise InputError(f"{path} is not a picture that this program reads; give one it wrote") from None
    return texts, texts.pop(PNG_KEYWORD, None)


def _parsed(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
