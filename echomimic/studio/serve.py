"""Starts the server: the lock, the socket, the line with the address, then requests until it is stopped."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from echomimic.errors import ResourceError, SettingsError
from echomimic.studio.home import Home, default_home

DEFAULT_PORT = 7777
BACKLOG = 128


@dataclass(frozen=True)
class Serving:
    """How the studio is served. ``home`` None is the user's data folder; ``upload`` is in MB."""

    home: Path | None = None
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    page: bool = True
    root_path: str = ""
    token: bool = True
    hosts: Sequence[str] = ()
    upload: int = 1024

    @property
    def loopback(self) -> bool:
        """Whether only this computer can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def serve(serving: Serving, tell: Callable[[str], None]) -> None:
    """Serves until it is interrupted. ``tell`` gets the address with its token, once connections are taken.

    Raises :class:`ResourceError` when the extra is not installed or the port is taken,
    :class:`SettingsError` for an open door without a token.
    """
    if not serving.token and not serving.loopback:
        raise SettingsError(
            f"--host {serving.host} lets others in; it needs the token: leave --no-token away"
        )
    try:
        from echomimic.studio.app import make_app
        from echomimic.studio.server import EndingServer
        from echomimic.studio.studio import Studio
    except ImportError as error:
        remedy = 'run: pip install "echomimic-studio[studio]"'
        raise ResourceError(f"the studio needs packages that are missing ({error.name}); {remedy}") from None
    home = Home(serving.home or default_home())
    home.prepare()
    with home.locked(), listening(serving) as place:
        token = home.token() if serving.token else None
        root = "/" + serving.root_path.strip("/") if serving.root_path.strip("/") else ""
        studio = Studio(home.folder, token, serving.upload << 20)
        hosts = {serving.host, *serving.hosts} - {"0.0.0.0", "::"}
        app = make_app(
            studio, hosts=hosts, any_address=not serving.loopback, page=serving.page, root_path=root
        )
        tell(address(serving, place.getsockname()[1], root, token))
        EndingServer(app, studio.leave).run(sockets=[place])


def address(serving: Serving, port: int, root: str, token: str | None) -> str:
    """Where the page is, with the token that lets its reader in."""
    name = "127.0.0.1" if serving.host in ("0.0.0.0", "::") else serving.host
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}{root}/" + (f"?token={token}" if token else "")


def listening(serving: Serving) -> socket.socket:
    """The socket; raises :class:`ResourceError` when the address cannot be used."""
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((serving.host, serving.port))
        made.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        made.close()
        reason = getattr(error, "strerror", None) or error
        raise ResourceError(
            f"{serving.host}:{serving.port} cannot be used ({reason}); give another --port"
        ) from None
    return made
