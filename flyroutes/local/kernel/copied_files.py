"""The files of a Machine: what a Dockerfile copies, laid out once, and copied for each Machine.

RUN lines are not executed; packages come from the Python environment that runs flyroutes.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flyroutes.errors import EmulationGap
from flyroutes.local.kernel import root

if TYPE_CHECKING:
    from flyroutes.platform.boot import Boot
    from flyroutes.platform.model import Image

_SYSTEM = {"bin", "boot", "dev", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "usr"}
_SHARED = {*_SYSTEM, "etc", "home", "opt", "root", "tmp", "var", ".flyroutes"}
"""Top-level directories of the host that a Machine needs, or that are its own already."""
_LEFT_OUT = (".git", ".venv", "node_modules")
LARGEST = 256 << 20


def unpack(boot: Boot, directory: Path) -> dict[str, str]:
    """Lay the files of a Machine out in its `directory`, fresh at each start.

    Returns directory -> place to show it at. Raises EmulationGap for an image of more than LARGEST bytes,
    and for places that cannot be shown.
    """
    image = boot.root
    built = root.image_directory(image.ref.partition(":")[0].replace("/", "_"))
    targets = [boot.program.workdir, *(target for _, target in image.copies)]
    mounts = {mount_point(target) for target in targets} - {"/"}
    mounts |= {_directory_of(place) for place, _ in boot.files}
    if image.copies and not built.exists():
        _fill(built, image)
    if image.copies:
        shutil.copytree(built, directory, symlinks=True)
    for place in mounts:
        (directory / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
        Path(place).mkdir(exist_ok=True)
    for place, content in boot.files:
        target = Path(os.path.realpath(directory / place.lstrip("/")))
        if not target.is_relative_to(os.path.realpath(directory)):
            raise EmulationGap(f"files: {place} lies behind a link of the image that leads to {target}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return {str(directory / place.lstrip("/")): place for place in mounts}


def _directory_of(file: str) -> str:
    """Return the top-level directory of one of the config's files; EmulationGap for a file in none."""
    if len(PurePosixPath(file).parts) < 3:
        raise EmulationGap(
            f"files: the local network places none at {file}: give it a directory, as /app{file}"
        )
    return mount_point(file)


def _fill(files: Path, image: Image) -> None:
    size = sum(_size(Path(source)) for source, _ in image.copies)
    if size > LARGEST:
        sources = ", ".join(source for source, _ in image.copies)
        raise EmulationGap(
            f"the files of {image.ref} ({sources}) are {size >> 20} MB or more, and the local network keeps "
            f"images of {LARGEST >> 20} MB at most, in memory: copy less, by COPY lines or a .dockerignore"
        )
    unfinished = files.with_name(f"{files.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for source, target in image.copies:
        _copy(Path(source), unfinished / target.lstrip("/"))
    unfinished.rename(files)


def _size(source: Path) -> int:
    if not source.is_dir():
        return source.stat().st_size
    total = 0
    for directory, below, names in os.walk(source):
        below[:] = [name for name in below if name not in _LEFT_OUT]
        total += sum(os.lstat(os.path.join(directory, name)).st_size for name in names)
        if total > LARGEST:
            break
    return total


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        left_out = shutil.ignore_patterns(*_LEFT_OUT)
        shutil.copytree(source, target, symlinks=True, ignore=left_out, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def mount_point(target: str) -> str:
    """Return the top-level directory at which to show what lies at `target`, in place of the host's.

    Raises EmulationGap where hiding would take away the host's programs, which a Machine shares.
    """
    parts = PurePosixPath(target).parts
    if len(parts) < 2:
        return "/"
    top = f"/{parts[1]}"
    needed = (sys.prefix, sys.base_prefix)
    if parts[1] not in _SHARED and not any(Path(path).is_relative_to(top) for path in needed):
        return top
    if target.startswith("/usr/src/"):
        return "/usr/src"
    raise EmulationGap(
        f"the image puts files at {target}, and a Machine shares {top} with this host: "
        "on the local network WORKDIR and COPY need a directory of their own, such as /app"
    )
