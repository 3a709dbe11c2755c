"""Where a result may go, and how it gets there: never over an input, one run at a time, whole or not at all.

Every writer of the package goes through here. A run claims its output when it starts; what a run that died
left behind (a hidden ``.part`` beside the output) is removed by the next one that claims the same output.
"""

import atexit
import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from echomimic.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: no claim is made there
    fcntl = None  # type: ignore[assignment]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_file(
    path: Path, overwrite: bool, inputs: Iterable[Path | str | None] = (), *, folder: bool = False
) -> None:
    """Raises :class:`OutputError` when ``path`` must not be written, or cannot be.

    It must not be one of ``inputs`` or hold one (whatever it is called there: links, hard links and other
    spellings are seen through), nor a device, nor a link that leads nowhere; nor an existing file, unless it
    is to be replaced (a folder only by a ``folder``). Nor may the hidden names beside it be inputs: what an
    earlier run left there can be played, so somebody may give it as a driver.
    """
    with disk_errors(path):
        _check_name(path)
        for source in inputs:
            if source is not None and str(source):
                for name in (path, *hidden_beside(path)):
                    _check_input(name, Path(source))
        _check_place(path, overwrite, folder)
        _try_writing(path.parent)


def _check_name(path: Path) -> None:
    if "\0" in str(path):
        raise OutputError(f"{path} has a NUL character in its name; choose another name")
    if path.name in ("", "..", "."):
        raise OutputError(f"{str(path)!r} is not a name for a file; choose another name")


def _check_input(path: Path, source: Path) -> None:
    try:
        real = source.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return
    if same(path, real):
        raise OutputError(
            f"{path} is an input too ({source}); inputs are never replaced, choose another name"
        )
    if any(same(path, folder) for folder in real.parents):
        raise OutputError(
            f"{path} holds an input ({source}); inputs are never replaced, choose another folder"
        )


def same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file or folder, through links, hard links and any spelling."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _check_place(path: Path, overwrite: bool, folder: bool) -> None:
    there = _is_there(path)
    if there and not path.exists():
        raise OutputError(f"{path} is a link that leads nowhere; remove it, or choose another name")
    if there and not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode):
        raise OutputError(f"{path} is a device or a pipe, not a file; choose another name")
    if there and path.is_dir() and not folder:
        raise OutputError(f"{path} is a folder, and a file is to be written; choose another name")
    if there and not overwrite:
        raise OutputError(f"{path} exists; choose another name, or give --overwrite to replace it")
    if path.parent.exists() and not path.parent.is_dir():
        raise OutputError(f"{path.parent} is a file, not a folder; choose another folder")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} does not exist; make the folder first, or choose another")


def _is_there(path: Path) -> bool:
    """Whether something has this name, a link that leads nowhere included;
    a name that is too long raises OSError."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _try_writing(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"cannot write in {folder} ({error.strerror}); choose another folder") from None


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns what a disk can object to into :class:`OutputError`."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise OutputError(f"{path}: the disk is full; free some room or choose another folder") from None
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); choose another path"
        ) from None


def real_path(path: Path) -> Path:
    """The file that ``path`` leads to: a link is written through, not replaced."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def part_of(path: Path, kind: str = "part") -> Path:
    """The hidden name beside ``path`` under which it is written: always the same, and short enough."""
    digest = hashlib.blake2s(os.fsencode(path.name), digest_size=4).hexdigest()
    return path.with_name(f".{path.stem[:40]}.{digest}.{kind}{path.suffix[:10]}")


def state_of(path: Path) -> Path:
    """The hidden name beside ``path`` under which an unfinished run keeps how far it came."""
    name = path.name if len(os.fsencode(path.name)) < _LONG_NAME else part_of(path, "state").name[1:]
    return path.with_name(f".{name}.resume.safetensors")


# Bytes of a name (a file system takes 255) that leave room for what is put around it.
_LONG_NAME = 200


def hidden_beside(path: Path) -> list[Path]:
    """Every name beside ``path`` that a run on it writes to or removes."""
    path = real_path(path).absolute()
    state = state_of(path)
    return [
        *(part_of(path, kind) for kind in ("part", "old", "claim")),
        part_of(part_of(path)),
        state,
        part_of(state),
    ]


def remove(path: Path) -> None:
    """Removes a file or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def claim(
    path: Path, overwrite: bool = False, inputs: Iterable[Path | str | None] = (), *, folder: bool = False
) -> Iterator[None]:
    """Checks ``path`` (see :func:`check_file`) and keeps it for this run; another run on it is refused at its
    start.

    What a dead run left of the same output is removed.
    """
    check_file(path, overwrite, inputs, folder=folder)
    with claimed(path):
        yield


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keeps ``path`` for this run without checking it."""
    path = real_path(path).absolute()
    lock = None
    try:
        with disk_errors(path):
            lock = _lock(path)
            _tidy(path)
        yield
    finally:
        if lock is not None:
            _release(path)
            os.close(lock)


# Outputs that this process has claimed: an interruption may come while one is being released.
_OURS: set[Path] = set()


def _release(path: Path) -> None:
    part_of(path, "claim").unlink(missing_ok=True)
    _OURS.discard(path)


@atexit.register
def _release_all() -> None:
    for path in list(_OURS):
        with contextlib.suppress(OSError):
            remove(part_of(path))
            _release(path)


def _lock(path: Path) -> int | None:
    """A locked file beside ``path``; None on file systems without locks. The lock ends with the process."""
    if fcntl is None:
        return None
    name = part_of(path, "claim")
    while True:
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise OutputError(
                f"{path} is being written by another run; wait for it, or choose another name"
            ) from None
        except OSError:
            os.close(handle)
            name.unlink(missing_ok=True)
            return None
        if _still(handle, name):
            _OURS.add(path)
            return handle
        os.close(handle)


def _still(handle: int, name: Path) -> bool:
    """Whether ``name`` is yet the locked file, which its last owner may have removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(name))
    except FileNotFoundError:
        return False


def _tidy(path: Path) -> None:
    """Removes what a dead run left; a folder that it was about to replace comes back."""
    old = part_of(path, "old")
    if old.exists() and not path.exists():
        os.replace(old, path)
    for left in (old, part_of(path), part_of(part_of(path))):
        if os.path.lexists(left):
            remove(left)


def put_in_place(part: Path, path: Path) -> None:
    """Gives a finished ``part`` its name; a folder that stands there goes only when the new one is in its
    place. A file never takes the place of a folder."""
    old = part_of(path, "old")
    if path.is_dir() and part.is_dir():
        os.replace(path, old)
    try:
        os.replace(part, path)
    except OSError:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise
    if old.exists():
        remove(old)


@contextlib.contextmanager
def placed(path: Path) -> Iterator[Path]:
    """A hidden name beside ``path`` for a file or a folder, which takes its place when the block ends well.

    When it does not, nothing is left. What a disk objects to is raised as :class:`OutputError`. Whether
    ``path`` may be written is asked before: see :func:`check_file`.
    """
    part = part_of(path)
    try:
        with disk_errors(path):
            remove(part)
            yield part
            put_in_place(part, path)
    finally:
        remove(part)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all, in place of an earlier one. Raises :class:`OutputError`."""
    with placed(real_path(path)) as part:
        part.write_bytes(data)
