"""What a Dockerfile leaves behind, without building it: files, variables, directory and command.

RUN is not executed: packages come from the Python environment that runs flyroutes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flyroutes.appconfig.image import dockerfile, ignorefile
from flyroutes.appconfig.image.copies import STANDARD_DIRECTORIES, absolute, copies
from flyroutes.appconfig.reader.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyroutes.appconfig.image.dockerfile import Instruction, Stage
    from flyroutes.appconfig.image.ignorefile import Ignored
    from flyroutes.appconfig.problems import Where

_NAMES = ("Dockerfile", "dockerfile")
"""What flyctl looks for in the working directory when `[build]` names no file."""
_NOT_HONOURED = {"HEALTHCHECK", "SHELL", "STOPSIGNAL", "VOLUME"}
"""What else is left out changes nothing here: apps always run as an ordinary user, whatever USER says."""


@dataclass
class Build:
    """The state of a build after some instructions."""

    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    copies: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[Instruction] = field(default_factory=list)
    """RUN instructions."""
    directories: set[str] = field(default_factory=lambda: set(STANDARD_DIRECTORIES))
    """Directories that the image is known to have."""


def find_image(root: Table, context: Path) -> Build:
    """The outcome of the Dockerfile that `[build]` names, else of the one in `context`, else of none.

    Without a Dockerfile the whole `context` is at /app and `[processes]` has the commands.
    """
    context = context.absolute()
    section = root.get("build") or Table(root.at.key("build").header({}))
    found = [context / name for name in _NAMES if (context / name).is_file()]
    if "image" in section:
        way_out = "the local network runs no images; give a Dockerfile or a [processes] command instead"
        section.at.key("image").error("no image", section["image"], way_out)
    elif "://" in section.get("dockerfile", ""):
        section.at.key("dockerfile").gap("the local network fetches no Dockerfile; save it beside fly.toml")
    elif "dockerfile" in section:
        return _from_file(_beside(section, "dockerfile"), section, context)
    elif found:
        return _from_file(found[0], section, context)
    return Build(workdir="/app", copies=[(str(context), "/app")])


def _beside(section: Table, key: str) -> Path:
    """The file that `key` names, relative to the directory of fly.toml (flyctl deploy_build.go)."""
    return Path(os.path.normpath(Path(section.at.source).parent / section[key]))


def _from_file(path: Path, section: Table, context: Path) -> Build:
    at = section.at.elsewhere(str(path))
    text = dockerfile.read(path, section.at.key("dockerfile"))
    args, found = dockerfile.stages(dockerfile.instructions(text, at), at) if text else ({}, [])
    given: dict[str, str] = section.get("args", {})
    named = _beside(section, "ignorefile") if "ignorefile" in section else None
    relative = os.path.relpath(path.absolute(), context)
    files = ignorefile.read(context, named, relative, section.at.key("ignorefile"))
    build = Build()
    for stage in _chain(found, section.get("build-target", ""), at):
        _run_stage(build, stage, args | given, files)
    if build.skipped:
        at.key("RUN").warn("is not executed: packages come from the Python environment of flyroutes")
    return build


def _chain(found: list[Stage], target: str, at: Where) -> list[Stage]:
    """The target stage (the last one unless named) after the stages it starts from."""
    by_name = {stage.name: number for number, stage in enumerate(found) if stage.name}
    if target and target.lower() not in by_name:
        at.error(f"a stage named {target}", list(by_name), "correct build-target in [build]")
        return []
    number = by_name[target.lower()] if target else len(found) - 1
    chain = [found[number]] if found else []
    while chain and by_name.get(chain[0].base.lower(), number) < number:
        number = by_name[chain[0].base.lower()]
        chain.insert(0, found[number])
    return chain


def _run_stage(build: Build, stage: Stage, given: Mapping[str, str], files: Ignored) -> None:
    """Apply a stage's instructions. `given` are values for its ARGs, which end with the stage."""
    args: dict[str, str] = {}
    inherited = build.cmd
    for each in stage.body:
        variables = args | build.env
        if each.name == "ARG":
            args |= _arg(each, variables, given)
        elif each.name in ("COPY", "ADD"):
            build.copies += copies(each, variables, files, build.workdir, build.directories)
        elif each.name == "ENTRYPOINT":
            # An ENTRYPOINT drops the CMD of the image it starts from.
            build.entrypoint, build.cmd = each.argv(), () if build.cmd is inherited else build.cmd
        else:
            _apply(build, each, variables)


def _arg(each: Instruction, variables: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    if "=" in each.value:
        return {name: given.get(name, default) for name, default in each.pairs(variables)}
    return {name: given.get(name, "") for name in each.value.split()}


def _apply(build: Build, each: Instruction, variables: Mapping[str, str]) -> None:
    if each.name == "ENV":
        build.env |= each.pairs(variables)
    elif each.name == "WORKDIR":
        build.workdir = absolute(build.workdir, " ".join(each.words(variables)))
        build.directories.add(build.workdir)
    elif each.name == "CMD":
        build.cmd = each.argv()
    elif each.name == "RUN":
        build.skipped.append(each)
    elif each.name in _NOT_HONOURED:
        each.at.key(each.name).warn("is not honoured on the local network")
