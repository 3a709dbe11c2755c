"""Colour profiles: a picture in any colour space that its file describes becomes sRGB."""

import io

from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}
"""Pillow's modes, and the colour space that a profile for them describes."""


def to_srgb(image: Image.Image) -> tuple[Image.Image, str]:
    """The picture in sRGB, and a remark where its profile was used or could not be; alpha is kept."""
    data = image.info.get("icc_profile")
    if not isinstance(data, bytes) or not data:
        return image, ""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = " ".join(ImageCms.getProfileDescription(profile).split())[:60]
        if name.lower().startswith("srgb"):
            return image, ""
        return _converted(image, profile), f"its colour profile ({name}) was converted to sRGB"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError):
        return image, "its colour profile cannot be used and was left out"


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    alpha = None
    if image.mode in ("RGBA", "LA", "PA", "P", "RGBa", "La") or "transparency" in image.info:
        seen = image.convert("RGBA")
        alpha, image = seen.getchannel("A"), seen.convert("RGB")
    space = profile.profile.xcolor_space.strip()
    if space == "GRAY" and image.mode == "RGB":
        image = image.convert("L")
    if _SPACES.get(image.mode) != space:
        raise ValueError(f"a profile for {space} in a picture of mode {image.mode}")
    target = ImageCms.createProfile("sRGB")
    done = ImageCms.profileToProfile(image, profile, target, outputMode="RGB")
    assert done is not None
    if alpha is not None:
        done.putalpha(alpha)
    return done
