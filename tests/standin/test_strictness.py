"""What flyctl's documentation lists, and what the stand-in takes and refuses of it."""

from __future__ import annotations

import json
import runpy
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.standin.harness import FLY

if TYPE_CHECKING:
    from tests.standin.harness import Standin

FACTS = json.loads(FLY.with_name("flyctl.json").read_text())
COMMANDS = FACTS["commands"]
PARSER = runpy.run_path(str(FLY.with_name("argv.py")))


def test_the_facts_say_when_and_whence_and_quote_nothing() -> None:
    assert FACTS["source"]["repository"] == "superfly/docs"
    assert FACTS["source"]["date"] >= "2026-08-07"
    assert len(COMMANDS) > 250
    flags = [flag for command in COMMANDS.values() for flag in command["flags"].values()]
    assert set().union(*flags) == {"kind", "short", "bare", "also", "global"}
    assert {flag["kind"] for flag in flags} == {
        "bool",
        "string",
        "strings",
        "stringArray",
        "int",
        "float",
        "duration",
    }


@pytest.mark.parametrize(
    ("command", "flag", "expected"),
    [
        ("apps create", "network", {"kind": "string"}),
        ("apps create", "org", {"kind": "string", "short": "o"}),
        ("apps create", "yes", {"kind": "bool", "short": "y", "also": ["auto-confirm"]}),
        ("apps create", "access-token", {"kind": "string", "short": "t", "global": True}),
        ("ips allocate-v4", "yes", {"kind": "bool", "short": "y", "also": ["auto-confirm"]}),
        ("ips allocate-v6", "yes", None),
        ("deploy", "depot", {"kind": "string", "bare": "true"}),
        ("deploy", "env", {"kind": "stringArray", "short": "e"}),
        ("machine stop", "wait-timeout", {"kind": "duration", "short": "w"}),
        ("machine start", "wait-timeout", None),
    ],
)
def test_known_flags(command: str, flag: str, expected: dict[str, Any] | None) -> None:
    assert COMMANDS[command]["flags"].get(flag) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (" <app name>", [("app name", "")]),
        (" <app name(s)>", [("app name", "variadic")]),
        (" [<id>...]", [("id", "optional variadic")]),
        (" [machine-id] <command>", [("machine-id", "optional"), ("command", "")]),
        ("  ADDRESS ADDRESS ...", [("ADDRESS", "variadic")]),
        (" <volume id> ... ", [("volume id", "variadic")]),
        (" [-yes] [slug]", [("slug", "optional")]),
        ("", []),
    ],
)
def test_reading_a_usage_line(usage: str, expected: list[tuple[str, str]]) -> None:
    read = runpy.run_path(str(Path(__file__).with_name("generate.py")))["arguments"]("x", usage)
    assert [(place.pop("name"), " ".join(place)) for place in read] == expected


@pytest.mark.parametrize(
    ("line", "arguments", "flags"),
    [
        ("version --json", [], {"json": True}),
        ("apps create one -o acme --network n -y", ["one"], {"org": "acme", "network": "n", "yes": True}),
        ("apps create -oacme one --auto-confirm", ["one"], {"org": "acme", "yes": True}),
        ("apps list -qjo=acme", [], {"quiet": True, "json": True, "org": "acme"}),
        ("deploy --ha=false -e A=1,2 -e B=", [], {"ha": False, "env": ["A=1,2", "B="]}),
        ("deploy --regions iad,lhr --regions ams", [], {"regions": ["iad", "lhr", "ams"]}),
        ("deploy --depot .", ["."], {"depot": "true"}),
        ("deploy --depot=false .", ["."], {"depot": "false"}),
        ("scale count -a x -- -1", ["-1"], {"app": "x"}),
        ("machine stop m -w 1m30s --timeout 5", ["m"], {"wait-timeout": "1m30s", "timeout": 5}),
        ("--verbose -t T apps destroy a b", ["a", "b"], {"verbose": True, "access-token": "T"}),
        ("machine run alpine sleep inf", ["alpine", "sleep", "inf"], {}),
    ],
)
def test_a_line_that_flyctl_takes(line: str, arguments: list[str], flags: dict[str, Any]) -> None:
    call = PARSER["parse"](shlex.split(line))
    assert (call.arguments, call.flags) == (arguments, flags)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("aps list", 'unknown command "aps" for "fly"'),
        ("apps lst", 'unknown command "lst" for "fly apps"'),
        ("m list", 'unknown command "m" for "fly"'),
        ("apps ls", 'unknown command "ls" for "fly apps"'),
        ("apps list acme", 'unknown command "acme" for "fly apps list"'),
        ("ips allocate-v6 -y", "unknown shorthand flag: 'y' in -y"),
        ("ips allocate-v6 --yes", "unknown flag: --yes"),
        ("apps create one --json --region iad", "unknown flag: --region"),
        # internal/command/apps/create.go:37
        ("apps create one two", "accepts between 0 and 1 arg(s), received 2"),
        ("ips release -a x", "requires at least 1 arg(s), only received 0"),
        ("deploy a b", "accepts between 0 and 1 arg(s), received 2"),
        ("deploy --app", "flag needs an argument: --app"),
        ("deploy -ya", "flag needs an argument: 'a' in -ya"),
        (
            "deploy --ha=no",
            'invalid argument "no" for "--ha" flag: strconv.ParseBool: parsing "no": invalid syntax',
        ),
        (
            "machine stop m -w 5",
            'invalid argument "5" for "-w, --wait-timeout" flag: time: invalid duration "5"',
        ),
        ("deploy --=x", "bad flag syntax: --=x"),
    ],
)
def test_a_line_that_flyctl_refuses(line: str, words: str) -> None:
    with pytest.raises(PARSER["Refused"]) as refusal:
        PARSER["parse"](shlex.split(line))
    assert str(refusal.value) == words


MERCIFUL = {
    "apps": "prints its help, exit status 0",
    "apps lst": "prints the help of apps, exit status 0",
    "apps list acme": "ignores the word",
    "apps ls": "knows the alias",
}
"""What cobra lets pass (legacyArgs in args.go, internal/command/command.go:50 New), and a test should not."""


@pytest.mark.parametrize("line", MERCIFUL)
def test_a_mistake_of_ours_that_flyctl_would_let_pass(line: str) -> None:
    with pytest.raises(PARSER["Refused"]):
        PARSER["parse"](line.split())


def test_a_mistake_exits_1_and_what_is_documented_but_not_done_says_so(standin: Standin) -> None:
    for line in (
        "version --jsn",
        "apps",
        "machine destroy x",
        "deploy --strategy canary",
        "status --all -a x",
    ):
        done = standin.fly(*line.split())
        assert (done.returncode, done.stdout, done.stderr[:7]) == (1, "", "Error: ")
    for line in ("version", "version --json", "apps list --help"):
        assert standin.fly(*line.split()).returncode == 0
