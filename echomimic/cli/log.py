"""What the package decides on its way, on standard error: ``--verbose``."""

import logging

import click

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class Terminal(logging.Handler):
    """Writes where standard error is now: a progress bar takes its place while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        click.echo(self.format(record), err=True)


def _listen(context: click.Context, parameter: click.Parameter, times: int) -> None:
    """Shows the package's log until the command is over."""
    if not times:
        return
    logger, handler, before = logging.getLogger("echomimic"), Terminal(), logging.getLogger("echomimic").level
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(LEVELS[min(times, len(LEVELS) - 1)])

    def stop() -> None:
        logger.removeHandler(handler)
        logger.setLevel(before)

    context.call_on_close(stop)


def verbose(command: click.Command) -> click.Command:
    """``command``, and all below it, with the option ``--verbose``."""
    text = "Say what is decided on the way: device, number format, files. Twice: everything."
    option = click.Option(["-v", "--verbose"], count=True, expose_value=False, callback=_listen, help=text)
    command.params.append(option)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        verbose(below)
    return command
