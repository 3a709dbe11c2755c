"""Files that are to be read: whether they are there and may be opened, said in one line."""

import os
from pathlib import Path

from echomimic.errors import InputError


def check_readable(path: Path, error: type[InputError], wanted: str) -> None:
    """Raises ``error`` when ``path`` is missing, a folder, empty or not ours to read;
    it ought to be ``wanted``."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise error(f"{path}: no such file; give the path of {wanted}") from None
    except OSError as reason:
        raise error(f"{path} cannot be reached ({reason.strerror}); give the path of {wanted}") from None
    if path.is_dir():
        raise error(f"{path} is a folder; give the path of {wanted}")
    if not path.is_file():
        raise error(
            f"{path} is a pipe or a device, but files are read more than once; save it to a file first"
        )
    if not os.access(path, os.R_OK):
        raise error(f"{path} may not be read by this user; change its permissions, or give another file")
    if size == 0:
        raise error(f"{path} is empty (0 bytes); give the path of {wanted}")
