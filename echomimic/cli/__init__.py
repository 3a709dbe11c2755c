"""The terminal door. Parses, calls the package, shows progress; exit codes are in ``echomimic --help``."""

import errno
import os
import signal
import sys
import time
import traceback

import click

from echomimic.cli.animate import animate
from echomimic.cli.batch import batch
from echomimic.cli.demo import demo
from echomimic.cli.doctor import doctor
from echomimic.cli.evaluate import evaluate
from echomimic.cli.live import live
from echomimic.cli.log import verbose
from echomimic.cli.motion import motion
from echomimic.cli.provenance import provenance
from echomimic.cli.signals import stoppable
from echomimic.cli.studio import studio
from echomimic.cli.weights import weights
from echomimic.errors import EchoMimicError
from echomimic.ranks import ranks_of_process
from echomimic.version import VERSION

EPILOG = (
    "Exit codes: 0 done; 1 a check found something wrong, or a fault in this program; 2 the input, "
    "an option, the output or the model files cannot be used (one line says why and what to do); "
    "130 interrupted, 143 terminated."
)


# Seconds in which torchrun notices that a process ended, and ends the others; it looks ten times in one.
_FIRST_SPEAKS = 1.0


@click.group(
    epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(VERSION, prog_name="echomimic")
def cli() -> None:
    """A portrait and a speech become a talking video.

    \b
    echomimic animate face.jpg speech.mp3 -o talk.mp4               a preview, on any computer
    echomimic animate face.jpg speech.mp3 -o talk.mp4 --model v1    EchoMimic V1, with its weights
    """


cli.add_command(animate)
cli.add_command(batch)
cli.add_command(demo)
cli.add_command(doctor)
cli.add_command(evaluate)
cli.add_command(live)
cli.add_command(motion)
cli.add_command(provenance)
cli.add_command(studio)
cli.add_command(weights)
verbose(cli)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits; input errors are one line on standard error and exit code 2."""
    with stoppable() as signals:
        try:
            _require_folder()
            _require_plain(arguments if arguments is not None else sys.argv[1:])
            cli.main(arguments, prog_name="echomimic", standalone_mode=False)
            _flush()
        except click.exceptions.Exit as stop:
            sys.exit(stop.exit_code)
        except (Exception, KeyboardInterrupt) as error:
            _let_first_speak(bool(signals))
            sys.exit(_interrupted(error, signals[0]) if signals else _failed(error))


def _let_first_speak(stopped: bool) -> None:
    """Under torchrun a wrong option is met by every process; it ends the others once the first one has said
    it."""
    if not ranks_of_process().rank:
        return
    if stopped:
        sys.exit(128 + signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(_FIRST_SPEAKS)


def _require_folder() -> None:
    try:
        os.getcwd()
    except OSError:
        raise click.ClickException(
            "the working folder is gone; change to another one and run again"
        ) from None


def _require_plain(arguments: list[str]) -> None:
    if any("\0" in argument for argument in arguments):
        raise click.ClickException("an argument has a NUL character in it; leave it out")


def _flush() -> None:
    """Writes out what was printed while it can still be said that it could not."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (the interpreter closes it at its end)
        raise


def _unwritable(error: OSError) -> int | None:
    """The exit code where standard output is closed or full; None where ``error`` is another one."""
    if error.filename is not None or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO):
        return None
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if error.errno == errno.EPIPE:  # as of ``| head``, which has read enough
        return 128 + getattr(signal, "SIGPIPE", 13)
    reason = f"standard output cannot be written ({error.strerror})"
    click.secho(f"error: {reason}; send it elsewhere, or give --quiet", fg="red", err=True)
    return 2


def _interrupted(error: BaseException, number: int) -> int:
    told = str(error.__cause__ or error) if isinstance(error, (KeyboardInterrupt, click.Abort)) else ""
    click.secho(f"interrupted; {told or 'nothing half-written was left behind'}", fg="yellow", err=True)
    return 128 + number


def _misused(error: click.ClickException) -> None:
    """One line, as for every other error; a command that was called with nothing at all shows its help."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" or context is None:
        error.show()
        return
    told = error.format_message().rstrip(".").replace("\n", " ")
    click.secho(f"error: {told}; see {context.command_path} --help", fg="red", err=True)


def _failed(error: BaseException) -> int:
    """Says what went wrong, in one line; the exit code."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return _interrupted(error, signal.SIGINT)
    if isinstance(error, click.ClickException):
        _misused(error)
        return 2
    if isinstance(error, EchoMimicError):
        click.secho(f"error: {error}", fg="red", err=True)
        return 2
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        click.secho(
            "error: out of memory; lower --size or --length, or close other programs", fg="red", err=True
        )
        return 2
    if isinstance(error, OSError) and (code := _unwritable(error)) is not None:
        return code
    if isinstance(error, OSError) and error.filename is not None:
        told = str(EchoMimicError(f"{error.filename} cannot be used ({error.strerror}); give another path"))
        click.secho(f"error: {told}", fg="red", err=True)
        return 2
    if os.environ.get("ECHOMIMIC_DEBUG"):
        raise error
    kind, place = type(error).__name__, traceback.extract_tb(error.__traceback__)[-1]
    click.secho(
        f"fault in this program: {kind}: {error} ({place.filename}:{place.lineno})", fg="red", err=True
    )
    click.echo("set ECHOMIMIC_DEBUG=1 and run again for the whole trace, and please report it", err=True)
    return 1
