"""COPY and ADD: which files of the build context go where in the image (Dockerfile reference)."""

from __future__ import annotations

import glob
import os
import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flyroutes.appconfig.image.dockerfile import Instruction
    from flyroutes.appconfig.image.ignorefile import Ignored

Copy = tuple[str, str]
"""Absolute source on the host, absolute target in the image."""

STANDARD_DIRECTORIES = frozenset((
    "/", "/bin", "/etc", "/home", "/opt", "/root", "/sbin", "/srv", "/tmp", "/usr", "/usr/bin", "/usr/local",
    "/usr/local/bin", "/usr/local/lib", "/usr/local/share", "/usr/src", "/var", "/var/lib", "/var/run",
))  # fmt: skip
"""What an image has before its first COPY, so far as anybody relies on it."""
_QUIET_FLAGS = ("--chown", "--chmod", "--link")
"""Files keep the owner and mode they have on the host; apps run as an ordinary user anyway."""
_REMOTE = re.compile(r"\w+://|git@")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def absolute(workdir: str, path: str) -> str:
    """`path` as an absolute path in the image, when the working directory is `workdir`."""
    return "/" + posixpath.normpath(posixpath.join(workdir, path)).lstrip("/")


def copies(
    each: Instruction, variables: Mapping[str, str], files: Ignored, workdir: str, directories: set[str]
) -> list[Copy]:
    """What one COPY or ADD brings; adds to `directories` those that it makes."""
    flags, words = each.flags_and_words(variables)
    if not _check_flags(each, flags):
        return []
    if len(words) < 2:
        each.at.error("sources and a target", each.value, "name both")
        return []
    *sources, written = words
    found = [path for source in sources for path in _matches(each, source, files)]
    target = absolute(workdir, written)
    into = written in (".", "./") or written.endswith(("/", "/.")) or target in directories
    if len(found) > 1 and not into:
        each.at.error("a target that ends in / for several sources", written, "add the /")
    placed = [_place(path, target, into, directories) for path in found]
    try:
        return [part for path, place in placed for part in _parts(path, place, files)]
    except OSError as error:
        each.at.error("directories that can be read", each.value, f"{error.filename}: {error.strerror}")
        return []


def _check_flags(each: Instruction, flags: list[str]) -> bool:
    """Whether the files come from the build context."""
    for flag in flags:
        name, _, value = flag.partition("=")
        if name == "--from":
            each.at.key(each.name).warn(
                f"--from={value} is not done, since RUN is not: what it brings must come from "
                "the Python environment that runs flyroutes"
            )
            return False
        if name not in _QUIET_FLAGS:
            each.at.gap(f"the local network does not do {each.name} {name}")
    return True


def _matches(each: Instruction, source: str, files: Ignored) -> Iterator[str]:
    """Absolute paths of the files that `source` names, each of them inside the context."""
    if _REMOTE.match(source) or (each.name == "ADD" and source.endswith(_ARCHIVES)):
        each.at.gap("the local network fetches and unpacks nothing; COPY plain files")
        return
    relative = posixpath.normpath(source.lstrip("/") or ".")
    # Go's patterns spell a negated class with ^.
    pattern = relative.replace("[^", "[!")
    names = [relative]
    if glob.has_magic(pattern):
        found = sorted(glob.glob(pattern, root_dir=files.context, include_hidden=True))
        names = [name for name in found if files.context / name not in files]
    for name in names or [relative]:
        path = os.path.normpath(files.context / name)
        if _check_source(each, source, path, files):
            yield path


def _check_source(each: Instruction, source: str, path: str, files: Ignored) -> bool:
    """Whether a build could copy `path`."""
    root, real = os.path.realpath(files.context), os.path.realpath(path)
    if os.path.commonpath((root, real)) != root:
        way_out = f"a build sees only {root}; move the file there, or deploy from a directory above"
        each.at.error("a source inside the build context", source, way_out)
    elif not os.path.exists(real):
        way_out = f"there is no such file in {root}; correct the name, or deploy from another directory"
        each.at.error("a source that exists", source, way_out)
    elif path in files:
        way_out = "a build does not see it, so on Fly it fails; correct one of the two"
        each.at.error("a source that .dockerignore leaves in", source, way_out)
    else:
        return True
    return False


def _parts(path: str, place: str, files: Ignored) -> list[Copy]:
    return files.rest(path, place) if os.path.isdir(path) else [(path, place)]


def _place(path: str, target: str, into: bool, directories: set[str]) -> Copy:
    """A directory's content goes to the target; a file goes into it or becomes it."""
    if os.path.isdir(path):
        directories.add(target)
    elif into:
        target = posixpath.join(target, os.path.basename(path))
    parent = posixpath.dirname(target)
    while parent not in directories:
        directories.add(parent)
        parent = posixpath.dirname(parent)
    return path, target
