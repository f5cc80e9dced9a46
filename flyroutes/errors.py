"""The errors a user meets, split by whose fault they are.

Each message says what was expected, what came, where it came from, and the way out.
The command line turns the class into an exit status and prints the message alone.
"""


class FlyroutesError(Exception):
    """Anything flyroutes reports to its user without a traceback."""

    exit_status = 1


class ConfigError(FlyroutesError):
    """What the user wrote is wrong: a `fly.toml`, a flag, a Dockerfile."""

    exit_status = 2


class PlatformError(FlyroutesError):
    """The platform said no: an unknown app, a Machine in the wrong state, a refused call.

    `status` is the HTTP status with which the Machines API says so.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class EmulationGap(FlyroutesError):
    """Fly does this; the local network does not. The message names what is missing."""


class HostError(FlyroutesError):
    """The machine underneath cannot do what a local network needs; the message has the fix."""
