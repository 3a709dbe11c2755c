"""``echomimic weights``."""


def readiness(diffusion: bool) -> list[tuple[str, str]]:
    """Model name and whether its weights are there."""
    return []
