"""``python -m echomimic`` and the ``echomimic`` command: quiet from the first millisecond to the last."""

import os
import signal

STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _stop_quietly(number: int, _: object) -> None:
    """Ends the process while nothing has begun:
    in the middle of an import no exception would be understood."""
    os.write(2, b"interrupted; nothing half-written was left behind\n")
    os._exit(128 + number)


def _handle(handler: object) -> None:
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, handler)  # type: ignore[arg-type]


def main() -> None:
    """Runs the command line; see :func:`echomimic.cli.main`."""
    _handle(_stop_quietly)
    from echomimic import cli

    try:
        cli.main()
    finally:
        _handle(signal.SIG_IGN)  # what is left is the interpreter's own end


if __name__ == "__main__":
    main()
