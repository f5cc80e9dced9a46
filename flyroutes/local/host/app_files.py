"""Reading the fly.toml files that a local network is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flyroutes.appconfig import AppConfig, load
from flyroutes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable


def read_apps(files: Iterable[Path]) -> tuple[AppConfig, ...]:
    """Load each file; ConfigError for a broken one, and for two that name one app."""
    apps: dict[str, AppConfig] = {}
    for path in files:
        config = load(path, context=context_of(path))
        if config.app in apps:
            raise ConfigError(f"{path}: app {config.app!r} is also the app of {apps[config.app].source}")
        apps[config.app] = config
    return tuple(apps.values())


def context_of(path: Path) -> Path:
    """Return the build context: the working directory when the file lies below it, as for flyctl.

    A file from elsewhere brings its own: the directory above `fly/`, or the one it lies in.
    """
    path = path.resolve()
    if path.is_relative_to(Path.cwd()):
        return Path.cwd()
    return path.parent.parent if path.parent.name == "fly" else path.parent
