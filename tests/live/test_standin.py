"""The stand-in for flyctl: what it refuses, how it answers, how it fails, and what it does to the network."""

from __future__ import annotations

import json
import runpy
import secrets
import shlex
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from command import ROOT
from standin import FLY, Standin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FACTS = json.loads(FLY.with_name("flyctl.json").read_text())
COMMANDS = FACTS["commands"]
PUBLIC, FLYCAST, WORKER, ECHO = (
    ROOT / "fly" / f"{name}.toml" for name in ("public_http", "flycast_api", "sixpn_worker", "udp_echo")
)


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Standin]:
    with Standin(tmp_path) as made:
        yield made


@pytest.fixture
def app(standin: Standin) -> str:
    """A new app on a network of its own."""
    name = f"standin-{secrets.token_hex(4)}"
    assert standin.fly("apps", "create", name, "-o", "acme", "--network", f"net-{name}", "-y").returncode == 0
    return name


# What the documentation lists.


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
    read = runpy.run_path(str(FLY.with_name("generate.py")))["arguments"]("x", usage)
    assert [(place.pop("name"), " ".join(place)) for place in read] == expected


# Strictness.

PARSER = runpy.run_path(str(FLY.with_name("argv.py")))


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
        ("apps create", "accepts 1 arg(s), received 0"),
        ("apps create one two", "accepts 1 arg(s), received 2"),
        ("apps destroy -y", "requires at least 1 arg(s), only received 0"),
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


# Who one is.


def test_login_version_and_organizations(standin: Standin) -> None:
    assert standin.json("auth", "whoami") == {"email": "ada@example.com"}
    assert standin.json("orgs", "list") == {"personal": "Ada Lovelace", "acme": "Acme Ltd"}
    standin.set_version("0.1.0")
    standin.set_login(None)
    names = "Name Version Commit BranchName BuildDate OS Architecture Environment"
    shown = standin.json("version")
    assert (list(shown), shown["Version"]) == (names.split(), "0.1.0")
    for line in ("auth whoami", "apps create x -o acme", "apps list"):
        refused = standin.fly(*line.split())
        assert (refused.returncode, "no access token available" in refused.stderr) == (1, True)


def test_a_token_is_printed_by_its_command_alone(standin: Standin) -> None:
    token = standin.fly("tokens", "create", "org", "-o", "acme", "-x", "1h").stdout.strip()
    assert token.startswith("FlyV1 ")
    assert standin.fly("apps", "list", "-t", token).returncode == 0, "it is a token of the network"
    assert standin.fly("apps", "list", "-t", "wrong").returncode == 1
    assert token not in json.dumps(standin.journal())
    assert "wrong" not in json.dumps(standin.journal())


def test_sizes_are_named_and_without_a_price(standin: Standin) -> None:
    size = standin.json("platform", "vm-sizes")["shared-cpu-1x"]
    assert size == {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}


# Apps.


def test_an_app_belongs_to_its_organization_and_network(standin: Standin, app: str) -> None:
    (shown,) = standin.json("apps", "list", "-o", "acme")
    found = {key: shown[key] for key in ("Name", "Status", "Deployed", "Network", "CurrentRelease")}
    expected = {"Status": "pending", "Deployed": False, "Network": f"net-{app}", "CurrentRelease": None}
    assert found == {"Name": app, **expected}
    assert (shown["Organization"]["Slug"], shown["Organization"]["Name"]) == ("acme", "Acme Ltd")
    assert "public-http" in {one["Name"] for one in standin.json("apps", "list", "-o", "personal")}
    assert "organization nobody not found" in standin.fly("apps", "list", "-o", "nobody").stderr
    assert "org slug must be specified" in standin.fly("apps", "create", "x", "-y").stderr
    assert "Name has already been taken" in standin.fly("apps", "create", app, "-o", "acme", "-y").stderr


def test_destroying_wants_a_yes_and_an_app(standin: Standin, app: str) -> None:
    assert "yes flag must be specified" in standin.fly("apps", "destroy", app).stderr
    assert 'Could not find App "nobody"' in standin.fly("apps", "destroy", "nobody", app, "-y").stderr
    assert [one["Name"] for one in standin.json("apps", "list", "-o", "acme")] == [app]
    assert standin.fly("apps", "destroy", app, "-y").returncode == 0
    assert standin.json("apps", "list", "-o", "acme") == []


# Addresses.


def test_addresses_by_hand(standin: Standin, app: str) -> None:
    refused = standin.fly("ips", "allocate-v4", "-a", app)
    assert "yes flag must be specified" in refused.stderr
    for line in ("v4 --shared", "v4 -y", "v6", "v6 --private", f"v6 --private --network net-{app}"):
        assert standin.fly("ips", *f"allocate-{line}".split(), "-a", app).returncode == 0, line
    shown = standin.json("ips", "list", "-a", app)
    assert list(shown[0]) == ["ID", "Address", "Type", "Region", "CreatedAt", "ServiceName", "Network"]
    own = {"Name": f"net-{app}", "Organization": {"Slug": "acme"}}
    networks = [(ip["Type"], ip["Network"]) for ip in shown]
    private = [("private_v6", None), ("private_v6", own)]
    assert networks == [("v4", None), ("v6", None), *private, ("shared_v4", None)]
    assert (shown[-1]["ID"], shown[-1]["Region"], shown[-1]["CreatedAt"][:4]) == ("", "", "0001")
    assert standin.fly("ips", "release", shown[0]["Address"], shown[1]["Address"], "-a", app).returncode == 0
    assert [ip["Type"] for ip in standin.json("ips", "list", "-a", app)] == ["private_v6"] * 2 + ["shared_v4"]
    assert "Invalid IP address: 'x'" in standin.fly("ips", "release", "x", "-a", app).stderr


def test_a_network_means_nothing_without_private(standin: Standin, app: str) -> None:
    assert standin.fly("ips", "allocate-v6", "--network", "other", "-a", app).returncode == 0
    assert [(ip["Type"], ip["Network"]) for ip in standin.json("ips", "list", "-a", app)] == [("v6", None)]


# Deploys.


@pytest.mark.parametrize(
    ("file", "deploys", "types"),
    [
        (PUBLIC, [""], ["v6", "shared_v4"]),
        (PUBLIC, ["--no-public-ips", ""], []),
        (PUBLIC, ["--flycast --no-public-ips", "--flycast"], ["private_v6"]),
        (FLYCAST, [""], ["v6", "shared_v4"]),
        (WORKER, [""], []),
        (ECHO, ["", ""], []),
    ],
)
def test_the_first_deploy_allocates(
    standin: Standin, app: str, file: Path, deploys: list[str], types: list[str]
) -> None:
    for flags in deploys:
        done = standin.fly("deploy", "-c", file, "-a", app, "--ha=false", "--detach", *flags.split())
        assert done.returncode == 0, done
    shown = standin.json("ips", "list", "-a", app)
    assert [(ip["Type"], ip["Network"]) for ip in shown] == [(type, None) for type in types]


def test_the_first_deploy_leaves_alone_what_has_an_address(standin: Standin, app: str) -> None:
    assert standin.fly("ips", "allocate-v6", "--private", "-a", app).returncode == 0
    assert standin.fly("deploy", "-c", PUBLIC, "-a", app, "--ha=false", "--detach").returncode == 0
    assert [ip["Type"] for ip in standin.json("ips", "list", "-a", app)] == ["private_v6"]


@pytest.mark.parametrize(
    ("file", "flags", "states"),
    [
        (PUBLIC, "", ["started", "started"]),
        (PUBLIC, "--ha=false", ["started"]),
        (WORKER, "", ["created", "started"]),
        (WORKER, "--ha=false", ["started"]),
    ],
)
def test_spare_machines(standin: Standin, app: str, file: Path, flags: str, states: list[str]) -> None:
    for _ in range(2):
        assert standin.fly("deploy", "-c", file, "-a", app, "-y", *flags.split()).returncode == 0
        assert sorted(one["state"] for one in standin.json("machine", "list", "-a", app)) == states


def test_a_second_deploy_updates_in_place(standin: Standin, app: str, tmp_path: Path) -> None:
    line = f"deploy {ROOT} -c fly/public_http.toml -a {app} --ha=false -y -e COLOUR=red"
    shown = []
    for label in ("first", "second"):
        assert standin.fly(*line.split(), "--image-label", label, cwd=tmp_path).returncode == 0
        (machine,) = standin.json("machine", "list", "-a", app)
        shown.append((machine["image_ref"]["tag"], machine["config"]["metadata"]["fly_release_version"]))
        assert machine["config"]["env"]["COLOUR"] == "red"
        assert [check["status"] for check in machine["checks"]] == ["passing"], "deploy waits for them"
    assert shown == [("first", "1"), ("second", "2")]
    status = standin.json("status", "-a", app)
    keys = "AppURL Deployed Hostname ID Machines Name Network Organization PlatformVersion Status Version"
    assert (list(status), status["Version"], status["Deployed"]) == (keys.split(), 2, True)
    assert standin.json("checks", "list", "-a", app) == {machine["id"]: machine["checks"]}
    (listed,) = standin.json("apps", "list", "-o", "acme")
    assert (listed["Status"], listed["CurrentRelease"]["Status"]) == ("deployed", "complete")


def test_a_deploy_needs_an_app_a_file_and_a_directory(standin: Standin, tmp_path: Path) -> None:
    for line, words in (
        (f"deploy {ROOT} -c fly/public_http.toml -a nobody", 'Could not find App "nobody"'),
        (f"deploy {ROOT} -c public_http.toml -a nobody", "could not find the configuration file"),
        (f"deploy -c {PUBLIC} -a nobody", "deploy from another directory"),
        ("deploy /nowhere -a nobody", "does not exist"),
        ("status", "missing an app name"),
    ):
        done = standin.fly(*line.split(), cwd=tmp_path)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr


def test_scaling(standin: Standin, app: str) -> None:
    def regions() -> list[str]:
        return sorted(one["region"] for one in standin.json("machine", "list", "-a", app))

    line = f"scale count 3 -r iad,lhr -a {app}"
    assert "no complete releases" in standin.fly(*line.split(), "-y").stderr
    assert standin.fly("deploy", "-c", WORKER, "-a", app, "--ha=false").returncode == 0
    assert "yes flag must be specified" in standin.fly(*line.split()).stderr
    for count, after in ((3, "iad iad lhr"), (3, "iad iad lhr"), (2, "iad iad"), (4, "iad iad iad lhr")):
        assert standin.fly("scale", "count", str(count), "-r", "iad,lhr", "-a", app, "-y").returncode == 0
        assert regions() == after.split()
    most = standin.fly("scale", "count", "5", "-r", "iad,lhr", "--max-per-region", "2", "-a", app, "-y")
    assert most.returncode == 1
    assert regions() == ["iad", "iad", "iad", "lhr"]


def test_a_machine_by_hand_is_of_no_deploy(standin: Standin, app: str) -> None:
    run = standin.fly(
        "machine", "run", "alpine", "sleep", "inf", "-a", app, "-r", "lhr", "-e", "A=1", "-m", "k=v"
    )
    assert run.returncode == 0, run
    (machine,) = standin.json("machine", "list", "-a", app)
    assert (machine["region"], machine["config"]["init"]["cmd"]) == ("lhr", ["sleep", "inf"])
    assert (machine["config"]["env"], machine["config"]["metadata"]["k"]) == ({"A": "1"}, "v")
    assert standin.json("status", "-a", app)["Machines"] == []
    for line, state in (("stop -w 20s", "stopped"), ("start", "started")):
        assert standin.fly("machine", *line.split(), machine["id"], "-a", app).returncode == 0
        assert standin.json("machine", "list", "-a", app)[0]["state"].startswith(state[:4])
    assert "was not found in app" in standin.fly("machine", "stop", "nobody", "-a", app).stderr
    assert "a machine ID must be specified" in standin.fly("machine", "stop", "-a", app).stderr


# Faults, and two at once.


@pytest.mark.parametrize(("do", "done"), [("fail-before", False), ("fail-after", True)])
def test_failing_before_and_after_the_work(standin: Standin, do: str, done: bool) -> None:
    app = f"standin-{secrets.token_hex(4)}"
    standin.fault("apps", "create", do=do, nth=1, status=3, stderr="gone")
    failed = standin.fly("apps", "create", app, "-o", "acme", "-y")
    assert (failed.returncode, failed.stdout, failed.stderr) == (3, "", "gone\n")
    assert bool(standin.json("apps", "list", "-o", "acme")) == done
    assert standin.fly("apps", "create", app, "-o", "acme", "-y").returncode == int(done), "only the first"


def test_garbage_instead_of_json(standin: Standin) -> None:
    standin.fault("orgs", do="garbage-json")
    done = standin.fly("orgs", "list", "--json")
    assert done.returncode == 0
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.stdout)
    assert standin.json("auth", "whoami"), "other commands are well"
    standin.mend()
    assert standin.json("orgs", "list")


async def test_a_hanging_command_ends_at_an_interrupt(standin: Standin) -> None:
    standin.fault("auth", "whoami", do="hang")
    standin.fault("orgs", "list", do="slow", seconds=0.01)
    assert standin.json("orgs", "list")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            hanging = partial(trio.run_process, ["fly", "auth", "whoami"], env=standin.env(), check=False)
            process = await nursery.start(hanging)
            while len(standin.journal()) < 2:
                await trio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
    first, hung = standin.journal()
    assert (first["argv"], first["status"]) == (["orgs", "list", "--json"], 0)
    assert (hung["argv"], hung["status"]) == (["auth", "whoami"], 130)
    assert first["start"] <= first["end"] <= hung["start"] <= hung["end"]


async def test_commands_at_once_lose_nothing(standin: Standin) -> None:
    names = [f"standin-{secrets.token_hex(4)}" for _ in range(3)]
    outcomes: list[tuple[str, int]] = []

    async def create(name: str) -> None:
        line = ["fly", "apps", "create", name, "-o", "acme", "-y"]
        done = await trio.run_process(line, env=standin.env(), check=False, capture_stderr=True)
        outcomes.append((name, done.returncode))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for name in [*names, names[0]]:
                nursery.start_soon(create, name)
    assert sorted(status for _, status in outcomes) == [0, 0, 0, 1], "one name, one app"
    assert set(standin.apps()) == set(names)
    assert sorted(entry["status"] for entry in standin.journal()) == [0, 0, 0, 1]


def test_only_what_it_created_goes_at_the_end(tmp_path: Path) -> None:
    with Standin(tmp_path / "one") as other, Standin(tmp_path / "two") as ended:
        name = f"standin-{secrets.token_hex(4)}"
        assert ended.fly("apps", "create", name, "-o", "acme").returncode == 0
        before = {one["Name"] for one in other.json("apps", "list")}
        ended.clean_up()
        assert {one["Name"] for one in other.json("apps", "list")} == before - {name}
