"""What can go wrong, as one tree.

::

    EchoMimicError
    ├── InputError (also a ValueError)   something the caller gave cannot be used
    │   ├── SettingsError                an option is out of range or contradicts another
    │   ├── PictureError                 the portrait cannot be read or used
    │   │   └── NoFaceError              … because no usable face is in it
    │   ├── SpeechError                  the sound cannot be read or used
    │   ├── DriverError                  the motion source cannot be read or used
    │   ├── ManifestError                a list of videos to make, or a row of it, cannot be used
    │   └── OutputError                  the result cannot be written where it was asked for
    ├── WeightsError                     model files are missing, damaged or of the wrong kind
    └── ResourceError                    memory or a needed package ran out or is missing

Every message is one line that names the thing and says what to do. Doors print it and exit with 2.
"""


class EchoMimicError(Exception):
    """Root of every error this package raises on purpose.
    Its text is one line, whatever file names are in it."""

    def __str__(self) -> str:
        return "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode() for c in super().__str__()
        )


class InputError(EchoMimicError, ValueError):
    """Something the caller gave cannot be used."""


class SettingsError(InputError):
    """An option is out of range or contradicts another;
    ``options`` are the names of those the message speaks of."""

    def __init__(self, message: str, *options: str) -> None:
        super().__init__(message)
        self.options = options


class PictureError(InputError):
    """The portrait cannot be read or used."""


class NoFaceError(PictureError):
    """No usable face is in the picture."""


class SpeechError(InputError):
    """The sound cannot be read or used."""


class DriverError(InputError):
    """The motion source cannot be read or used."""


class ManifestError(InputError):
    """A list of videos to make, or a row of it, cannot be used."""


class OutputError(InputError):
    """The result cannot be written where it was asked for."""


class WeightsError(EchoMimicError):
    """Model files are missing, damaged or of the wrong kind."""


class ResourceError(EchoMimicError):
    """Memory or a needed package ran out or is missing."""
