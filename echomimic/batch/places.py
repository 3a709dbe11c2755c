"""Where inputs and outputs lie: in folders,
or behind URLs that fsspec opens (``s3://``, ``gs://``, ``memory://``)."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from echomimic.errors import OutputError, ResourceError, SpeechError
from echomimic.media.output import write_whole

# Bytes read at once: a copy that is stopped stops soon.
_BLOCK = 1 << 20


def is_remote(place: str) -> bool:
    """Whether ``place`` is a URL; a Windows drive is none."""
    return "://" in place


def file_system(place: str) -> tuple[Any, str]:
    """(fsspec file system, path in it) of a URL;
    raises :class:`ResourceError` when its package is missing."""
    try:
        import fsspec
    except ImportError:
        raise ResourceError(
            f"{place} needs the package fsspec; pip install 'echomimic-studio[batch]'"
        ) from None
    try:
        return fsspec.core.url_to_fs(place)  # type: ignore[no-any-return]
    except ImportError as error:
        raise ResourceError(f"{place} needs a package that is missing ({error}); install it") from None
    except ValueError as error:
        raise ResourceError(
            f"{place} cannot be opened ({error}); give a path, or a URL such as s3://bucket/x"
        ) from None


def fetch(place: str, cache: Path) -> Path:
    """A local file with the contents of ``place``:
    itself, or a copy in ``cache`` named by URL and version."""
    if not is_remote(place):
        return Path(place)
    system, path = file_system(place)
    try:
        facts = system.info(path)
        stamp = next(
            (str(facts[k]) for k in ("ETag", "etag", "LastModified", "mtime", "created") if k in facts), ""
        )
        digest = hashlib.sha256(f"{place} {stamp} {facts.get('size')}".encode()).hexdigest()[:24]
        target = cache / f"{digest}{PurePosixPath(path).suffix}"
        if not target.exists():
            cache.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{digest}.{os.getpid()}.part")
            system.get_file(path, str(part))
            os.replace(part, target)
    except FileNotFoundError:
        raise SpeechError(f"{place} does not exist; check the address") from None
    except Exception as error:  # every file system has errors of its own
        raise ResourceError(
            f"{place} cannot be fetched ({type(error).__name__}: {error}); try again"
        ) from None
    return target


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files."""
    whole = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            whole.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                whole.update(block)
    return whole.hexdigest()


class Folder:
    """The folder of results: local, or behind a URL.
    Rows are rendered to a local file and put in place whole."""

    def __init__(self, place: str, work: Path) -> None:
        self.place, self.remote = place, is_remote(place)
        found: tuple[Any, str] = file_system(place) if self.remote else (None, place)
        self._system, self._root = found
        self._work = work

    def prepare(self) -> None:
        """Makes the folder; raises :class:`OutputError` when it cannot be made."""
        if self.remote:
            return
        try:
            Path(self._root).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.place} cannot be made ({error.strerror}); choose another folder"
            ) from None

    def local(self, name: str) -> Path:
        """Where a result is rendered: in place, or in the work folder until it is put in place."""
        path = (self._work if self.remote else Path(self._root)) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def exists(self, name: str) -> bool:
        """Whether a result is in place."""
        if self._system is None:
            return (Path(self._root) / name).exists()
        return bool(self._system.exists(f"{self._root}/{name}"))

    def read(self, name: str) -> bytes | None:
        """A small file's contents; None when there is none."""
        try:
            if self._system is None:
                return (Path(self._root) / name).read_bytes()
            return bytes(self._system.cat_file(f"{self._root}/{name}"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(
                f"{self.place}/{name} cannot be read ({error.strerror}); move it, or choose another folder"
            ) from None

    def write(self, name: str, content: bytes) -> None:
        """Puts a small file in place, whole."""
        if self._system is not None:
            with self._errors(name):
                self._system.pipe_file(f"{self._root}/{name}", content)
            return
        write_whole(Path(self._root) / name, content)

    def remove(self, name: str) -> None:
        """Takes a small file away; it may be gone already."""
        if self._system is None:
            (Path(self._root) / name).unlink(missing_ok=True)
            return
        with self._errors(name), contextlib.suppress(FileNotFoundError):
            self._system.rm_file(f"{self._root}/{name}")

    def publish(self, name: str) -> None:
        """Brings a result that was rendered locally to its place."""
        if self._system is None:
            return
        local = self.local(name)
        with self._errors(name):
            self._system.put(str(local), f"{self._root}/{name}", recursive=local.is_dir())
        shutil.rmtree(local) if local.is_dir() else local.unlink()

    @contextlib.contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # every file system has errors of its own
            reason = f"{type(error).__name__}: {error}"
            raise ResourceError(
                f"{self.place}/{name} cannot be written ({reason}); run the same again"
            ) from None
