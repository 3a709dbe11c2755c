"""What a request can be refused with. The API shows every one as ``{"error": {…}}``."""

import errno
from typing import Any

from echomimic.errors import EchoMimicError, InputError, ResourceError, WeightsError

STATUS = {
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method": 405,
    "conflict": 409,
    "too_large": 413,
    "unsupported": 415,
    "invalid": 422,
    "missing": 424,
    "internal": 500,
    "disk_full": 507,
}
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Refused(Exception):
    """A request that cannot be answered: its kind (see ``STATUS``), one line, and what would help."""

    def __init__(self, kind: str, message: str, remedy: str | None = None, action: Any = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.remedy, self.action = kind, message, remedy, action

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.kind]

    def body(self) -> dict[str, Any]:
        """What the API answers."""
        told = {"status": self.status, "kind": self.kind, "message": self.message, "remedy": self.remedy}
        return {"error": told | ({"action": self.action} if self.action else {})}


def is_full(error: Exception) -> bool:
    """Whether the disk is full; SQLite and our own errors say it in words."""
    return (isinstance(error, OSError) and error.errno in FULL) or "disk is full" in str(error)


def refusal(error: Exception) -> Refused:
    """Any error as a refusal; faults of the program never show where they happened."""
    if isinstance(error, Refused):
        return error
    if is_full(error):
        return Refused("disk_full", "the disk is full; free some room, or run: echomimic studio clean")
    if isinstance(error, InputError):
        return Refused("invalid", str(error))
    if isinstance(error, WeightsError | ResourceError | EchoMimicError):
        return Refused("missing", str(error))
    return Refused(
        "internal", f"a fault in this program ({type(error).__name__}); please report it with the log"
    )
