"""A Dockerfile's outcome without a build. Source: Dockerfile reference; flyctl deploy_build.go, imgsrc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyroutes.appconfig import load
from flyroutes.errors import ConfigError, EmulationGap

if TYPE_CHECKING:
    from pathlib import Path

    from flyroutes.appconfig import AppConfig

END = "\nCMD serve\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build context: a.py, b.py, .hidden, lib/c.py, lib/deep/d.txt, and a fly.toml."""
    for name in ("a.py", "b.py", ".hidden", "lib/c.py", "lib/deep/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "fly.toml").write_text('app = "web"')
    return tmp_path


def build(context: Path, dockerfile: str, toml: str = "") -> AppConfig:
    (context / "Dockerfile").write_text(dockerfile)
    (context / "fly.toml").write_text(f'app = "web"\n{toml}')
    return load(context, context=context)


COPIES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "a file into a directory": ("COPY a.py /app/", [("a.py", "/app/a.py")]),
    "a file under another name": ("COPY a.py /app/main.py", [("a.py", "/app/main.py")]),
    "a file into the working directory": ("WORKDIR /app\nCOPY a.py .", [("a.py", "/app/a.py")]),
    "a relative target": ("WORKDIR /app\nWORKDIR src\nCOPY a.py x/", [("a.py", "/app/src/x/a.py")]),
    "a directory that exists, without slash": ("WORKDIR /app\nCOPY a.py /app", [("a.py", "/app/a.py")]),
    "a directory's content": ("COPY lib /app/lib", [("lib", "/app/lib")]),
    "the whole context": ("COPY . /app", [(".", "/app")]),
    "several sources": ("COPY a.py b.py /app/", [("a.py", "/app/a.py"), ("b.py", "/app/b.py")]),
    "a glob": ("COPY *.py /app/", [("a.py", "/app/a.py"), ("b.py", "/app/b.py")]),
    "a negated class": ("COPY [^a].py /app/", [("b.py", "/app/b.py")]),
    "a glob that a hidden file matches": ("COPY *hi* /app/", [(".hidden", "/app/.hidden")]),
    "the list form": ('COPY --chown=1:1 ["a.py", "/app/"]', [("a.py", "/app/a.py")]),
    "flags that change nothing": ("COPY --link --chmod=755 a.py /app/", [("a.py", "/app/a.py")]),
    "ADD of a plain file": ("ADD a.py /app/", [("a.py", "/app/a.py")]),
    "a leading slash": ("COPY /a.py /app/", [("a.py", "/app/a.py")]),
    "variables": ("ARG f=b\nENV d=/srv\nCOPY ${f}.py $d/", [("b.py", "/srv/b.py")]),
    "continued lines": (
        "COPY a.py \\\n  # why\n  b.py \\\n  /app/",
        [("a.py", "/app/a.py"), ("b.py", "/app/b.py")],
    ),
}


@pytest.mark.parametrize(("line", "expected"), COPIES.values(), ids=COPIES)
def test_copy(context: Path, line: str, expected: list[tuple[str, str]]) -> None:
    copies = build(context, f"FROM scratch\n{line}{END}").image.copies
    assert list(copies) == [(str(context / source), target) for source, target in expected]


def test_outcome_of_a_whole_file(context: Path) -> None:
    text = """# syntax=docker/dockerfile:1
    ARG PYTHON=3.11
    FROM python:${PYTHON}-slim
    LABEL a=b
    ENV A=1 B="two words"
    ENV A=2 C=$A
    ENV D four
    WORKDIR /app
    RUN pip install x
    USER app
    EXPOSE 8080
    ENTRYPOINT ["python"]
    CMD ["server.py", "$A"]
    """
    config = build(context, text)
    assert config.image.env == {"A": "2", "B": "two words", "C": "1", "D": "four"}
    assert config.image.command == ("python", "server.py", "$A")
    assert (config.image.ref, config.image.workdir) == ("local/web", "/app")
    (warning,) = config.warnings
    assert "Dockerfile: RUN is not executed: packages come from the Python" in warning


def test_build_arguments_come_from_the_file(context: Path) -> None:
    """An ARG takes its value from `[build.args]`, and no variable of the host's leaks in."""
    text = "ARG HOME\nFROM scratch\nARG mode=dev\nARG HOME\nENV MODE=$mode HOME2=$HOME" + END
    assert build(context, text).image.env == {"MODE": "dev", "HOME2": ""}
    assert build(context, text, '[build.args]\nmode = "live"').image.env["MODE"] == "live"


STAGES = "FROM a AS base\nENV V=1\nCMD base\nFROM b AS other\nENV V=2\nCMD other\nFROM base AS last\n"


def test_last_stage_starts_from_those_it_names(context: Path) -> None:
    image = build(context, STAGES).image
    assert (image.env, image.command[-1]) == ({"V": "1"}, "base")
    image = build(context, STAGES, '[build]\nbuild-target = "other"').image
    assert (image.env, image.command[-1]) == ({"V": "2"}, "other")
    with pytest.raises(ConfigError, match=r'a stage named none, got \["base", "other", "last"\]'):
        build(context, STAGES, '[build]\nbuild-target = "none"')


def test_entrypoint_drops_the_inherited_cmd(context: Path) -> None:
    assert build(context, STAGES + 'ENTRYPOINT ["e"]').image.command == ("e",)
    assert build(context, STAGES + 'CMD ["c"]\nENTRYPOINT ["e"]').image.command == ("e", "c")


def test_copy_from_a_stage_is_named_not_done(context: Path) -> None:
    config = build(context, "FROM a AS base\nRUN x\nFROM b\nCOPY --from=base /v /v" + END)
    assert config.image.copies == ()
    (warning,) = config.warnings
    assert "Dockerfile: line 4: COPY --from=base is not done" in warning


MISTAKES: dict[str, tuple[str, str]] = {
    "a source that is not there": ("COPY none.py /app/", "line 2: expected a source that exists"),
    "a glob without match": ("COPY *.js /app/", "a source that exists"),
    "a source above the context": ("COPY ../x /app/", "inside the build context"),
    "a link out of the context": ("COPY out /app/", "inside the build context"),
    "several sources into a file": ("COPY a.py b.py /app", "ends in / for several sources"),
    "no target": ("COPY a.py", "sources and a target"),
    "an unknown instruction": ("COYP a.py /app/", "did you mean COPY?"),
    "an instruction without value": ("RUN", "an instruction and its value"),
    "single quotes in the list form": ("CMD ['a']", "put each word in double quotes"),
    "ENV without =": ("ENV A=1 B", "write = between"),
    "NUL in a command": ('CMD ["a\\u0000"]', "without NUL"),
}


@pytest.mark.parametrize(("line", "part"), MISTAKES.values(), ids=MISTAKES)
def test_dockerfile_mistake(context: Path, line: str, part: str) -> None:
    (context / "out").symlink_to("/etc")
    with pytest.raises(ConfigError) as caught:
        build(context, f"FROM scratch\n{line}{END}")
    assert "Dockerfile: line 2: expected" in str(caught.value)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


GAPS: dict[str, tuple[str, str]] = {
    "a here-document": ("COPY <<EOF /a\nRUN x\nEOF y", "here-documents"),
    "a file from afar": ("ADD https://example.com/x /app/", "fetches and unpacks nothing"),
    "an archive": ("ADD a.tar.gz /app/", "fetches and unpacks nothing"),
    "a flag that selects files": ("COPY --exclude=*.py . /app/", "COPY --exclude"),
    "an operator in a variable": ("WORKDIR ${X:-/app}", "${NAME} only"),
}


@pytest.mark.parametrize(("line", "part"), GAPS.values(), ids=GAPS)
def test_dockerfile_gap(context: Path, line: str, part: str) -> None:
    with pytest.raises((EmulationGap, ConfigError), match="line 2: the local network") as caught:
        build(context, f"FROM scratch\n{line}{END}")
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("CMD x", "line 1: expected FROM first"),
        ("# nothing\n", "at least one FROM"),
        ("FROM a b", "FROM image"),
    ],
)
def test_dockerfile_without_a_start(context: Path, text: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(context, text)
    assert part in str(caught.value)


def test_lines_that_belong_to_no_instruction(context: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 3: expected an instruction and its value, got \"CMD x"):
        build(context, "FROM scratch\nRUN x\nCMD x \\")
    with pytest.raises(ConfigError, match="Dockerfile is not a Dockerfile"):
        build(context, "FROM scratch\0")


def test_instruction_that_is_not_honoured_is_named(context: Path) -> None:
    (warning,) = build(context, "FROM scratch\nHEALTHCHECK NONE\nLABEL a=b" + END).warnings
    assert warning.endswith("Dockerfile: line 2: HEALTHCHECK is not honoured on the local network")


def test_dockerfile_that_is_not_there(context: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[build\] dockerfile: expected a Dockerfile, got \"none\""):
        build(context, f"FROM scratch{END}", '[build]\ndockerfile = "none"')


def test_ignored_files_are_not_copied(context: Path) -> None:
    """On Fly they are not in the build, so a COPY that names one fails."""
    (context / ".dockerignore").write_text("# why\n**/*.txt\nlib/*.py\n!lib/c.py\n[b-d].p?\n")
    copies = build(context, "FROM scratch\nCOPY lib /app/\nCOPY *.py /app/" + END).image.copies
    assert [(source.removeprefix(str(context)), target) for source, target in copies] == [
        ("/lib/c.py", "/app/c.py"),
        ("/a.py", "/app/a.py"),
    ]
    with pytest.raises(ConfigError, match=r"a source that \.dockerignore leaves in, got \"b.py\""):
        build(context, "FROM scratch\nCOPY b.py /app/" + END)
    (context / ".dockerignore").unlink()
    assert len(build(context, "FROM scratch\nCOPY b.py /app/" + END).image.copies) == 1


def test_ignore_file_may_have_another_name(context: Path) -> None:
    (context / "mine").write_text("lib\n")
    toml = '[build]\nignorefile = "mine"'
    with pytest.raises(ConfigError, match=r'leaves in, got "lib/c.py"'):
        build(context, "FROM scratch\nCOPY lib/c.py /app/" + END, toml)
    assert len(build(context, "FROM scratch\nCOPY a.py /app/" + END, toml).image.copies) == 1


def test_ignore_file_that_cannot_be_read(context: Path) -> None:
    (context / ".dockerignore").write_text("ok\n[z-a]\n")
    with pytest.raises(ConfigError, match=r"\.dockerignore: line 2: expected a pattern, got \"\[z-a\]"):
        build(context, "FROM scratch" + END)
    with pytest.raises(ConfigError, match=r"\[build\] ignorefile: expected an ignore file"):
        build(context, "FROM scratch" + END, '[build]\nignorefile = "none"')


def test_fly_toml_is_left_out_unless_an_ignore_file_says_otherwise(context: Path) -> None:
    with pytest.raises(ConfigError, match="leaves in"):
        build(context, "FROM scratch\nCOPY fly.toml /app/" + END)
    (context / ".dockerignore").write_text("")
    assert len(build(context, "FROM scratch\nCOPY fly.toml /app/" + END).image.copies) == 1
