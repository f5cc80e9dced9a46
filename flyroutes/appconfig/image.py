"""What a Dockerfile leaves behind, without building it: files, variables, directory and command.

RUN is not executed: packages come from the Python environment that runs flyroutes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flyroutes.appconfig import dockerfile
from flyroutes.appconfig.copies import STANDARD_DIRECTORIES, copies, inside

if TYPE_CHECKING:
    from flyroutes.appconfig.dockerfile import Instruction, Stage
    from flyroutes.appconfig.report import Where
    from flyroutes.appconfig.tables import Table

_NAMES = ("Dockerfile", "dockerfile")
"""What flyctl looks for in the working directory when `[build]` names no file."""
_NOT_HONOURED = {"HEALTHCHECK", "SHELL", "STOPSIGNAL", "VOLUME"}
"""What else is left out changes nothing here: apps always run as an ordinary user, whatever USER says."""


@dataclass
class Build:
    """The state of a build after some instructions."""

    context: Path
    args: dict[str, str] = field(default_factory=dict)
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
    section: Table | None = root.get("build")
    context = context.absolute()
    if section is not None and "image" in section:
        way_out = "the local network runs no images; give a Dockerfile or a [processes] command instead"
        section.at.key("image").error("no image", section["image"], way_out)
    elif section is not None and "dockerfile" in section:
        return _from_file(_named(section), section, context, root.at)
    elif found := [context / name for name in _NAMES if (context / name).is_file()]:
        return _from_file(found[0], section, context, root.at)
    return Build(context, workdir="/app", copies=[(str(context), "/app")])


def _named(section: Table) -> Path:
    """`dockerfile` is relative to the directory of fly.toml (flyctl deploy_build.go)."""
    name: str = section["dockerfile"]
    if "://" in name:
        section.at.key("dockerfile").gap("the local network fetches no Dockerfile; save it beside fly.toml")
    return Path(os.path.normpath(Path(section.at.source).parent / name))


def _from_file(path: Path, section: Table | None, context: Path, root: Where) -> Build:
    at = root.elsewhere(str(path))
    text = dockerfile.read(path, section.at.key("dockerfile") if section else at)
    args, found = dockerfile.stages(dockerfile.instructions(text, at), at) if text else ({}, [])
    given: dict[str, str] = section.get("args", {}) if section else {}
    args |= {name: value for name, value in given.items() if name in args}
    build = Build(context, args)
    for stage in _chain(found, section.get("build-target", "") if section else "", at):
        _run_stage(build, stage, given)
    if build.skipped:
        lines = ", ".join(str(each.line) for each in build.skipped)
        at.warn(f"RUN (line {lines}) is not executed: packages come from the Python environment of flyroutes")
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


def _run_stage(build: Build, stage: Stage, given: dict[str, str]) -> None:
    outer, build.args = build.args, {}
    inherited = build.cmd
    for each in stage.body:
        if each.name == "ARG":
            _arg(build, each, outer | given)
        elif each.name == "ENTRYPOINT" and build.cmd is inherited:
            # An ENTRYPOINT drops the CMD of the image it starts from.
            build.entrypoint, build.cmd = each.argv(), ()
        else:
            _apply(build, each)
    build.args = outer


def _arg(build: Build, each: Instruction, given: dict[str, str]) -> None:
    name, equals, _ = each.value.partition("=")
    defaults = each.pairs(build.args | build.env) if equals else []
    for key, value in defaults or [(name.strip(), "")]:
        build.args[key] = given.get(key, value)


def _apply(build: Build, each: Instruction) -> None:
    variables = build.args | build.env
    if each.name == "ENV":
        build.env |= each.pairs(variables)
    elif each.name == "WORKDIR":
        build.workdir = inside(build.workdir, " ".join(each.words(variables)))
        build.directories.add(build.workdir)
    elif each.name == "CMD":
        build.cmd = each.argv()
    elif each.name == "ENTRYPOINT":
        build.entrypoint = each.argv()
    elif each.name in ("COPY", "ADD"):
        build.copies += copies(each, variables, build.context, build.workdir, build.directories)
    elif each.name == "RUN":
        build.skipped.append(each)
    elif each.name in _NOT_HONOURED:
        each.at.warn(f"{each.name} is not honoured on the local network")
