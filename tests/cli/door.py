"""The command line, called as a user would."""

import pytest

from echomimic.cli import main


def run(*arguments: object) -> int:
    """The exit code of ``echomimic`` with these arguments."""
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
        raise SystemExit(0)
    return int(stopped.value.code or 0)
