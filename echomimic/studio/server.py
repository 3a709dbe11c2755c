"""uvicorn's server, which tells the studio at once that it is to end: streams and waiting requests end then,
instead of holding the server up."""

import logging
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

# Seconds in which requests may end by themselves, once the server is told to.
_PATIENCE = 1


class EndingServer(uvicorn.Server):
    """Calls ``leave`` when a signal tells it to end; it must return at once."""

    def __init__(self, app: ASGIApp, leave: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                lifespan="on",
                server_header=False,
                timeout_graceful_shutdown=_PATIENCE,
            )
        )
        self._leave = leave

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What uvicorn does, and tells. A request that is cut off then is no fault to be logged."""
        self._leave()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().handle_exit(sig, frame)
