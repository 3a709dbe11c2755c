"""The studio's folder of data: where everything lies, and that one server uses it at a time."""

import contextlib
import os
import secrets
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from echomimic.errors import OutputError, ResourceError

NAME = "echomimic-studio"
# 192 bits of chance: nobody guesses it, and it still fits an address that is copied by hand.
TOKEN_BYTES = 24


def default_home() -> Path:
    """The user's own data folder, by the custom of the system."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path(os.path.expanduser("~")) / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path(os.path.expanduser("~")) / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path(os.path.expanduser("~")) / ".local" / "share")
    return base / NAME


class Home:
    """Paths of one data folder. Names that users gave never become part of a path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.database = self.folder / "studio.db"
        self.incoming = self.folder / "incoming"
        self.voice = self.folder / "voice"

    def prepare(self) -> None:
        """Makes the folders; raises :class:`OutputError` when they cannot be made or written."""
        try:
            for folder in (self.folder, self.incoming, self.folder / "files", self.folder / "takes"):
                folder.mkdir(parents=True, exist_ok=True)
            (self.incoming / "probe").write_bytes(b"")
            (self.incoming / "probe").unlink()
        except OSError as error:
            raise OutputError(
                f"{self.folder} cannot be used ({error.strerror}); choose another --home"
            ) from None

    def file(self, digest: str, suffix: str) -> Path:
        """Where the file with this content lies."""
        return self.folder / "files" / digest[:2] / f"{digest}{suffix}"

    def take(self, take: str) -> Path:
        """The folder of one take."""
        return self.folder / "takes" / take

    def part(self) -> Path:
        """A new name for a file that is still coming in."""
        return self.incoming / f"{secrets.token_hex(8)}.part"

    def token(self) -> str:
        """The token of this folder, made when there is none; only this user may read it."""
        path = self.folder / "token"
        if path.is_file() and (kept := path.read_text().strip()):
            return kept
        made = secrets.token_urlsafe(TOKEN_BYTES)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(made)
        return made

    def free(self) -> int:
        """Bytes that are free on its disk."""
        return shutil.disk_usage(self.folder).free

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Only one server at a time. The lock is SQLite's own, so it goes with the process,
        however that ends."""
        lock = sqlite3.connect(self.folder / "lock.db", timeout=2.0, isolation_level=None)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            lock.close()
            raise ResourceError(
                f"another studio uses {self.folder}; stop it first, or give another --home"
            ) from None
        try:
            yield
        finally:
            lock.close()
