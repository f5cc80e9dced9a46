"""Who is logged in, apps and their addresses, as the stand-in for flyctl has them."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from typing import TYPE_CHECKING

from tests.standin.harness import Standin
from tests.support.command import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_login_version_and_organizations(standin: Standin) -> None:
    assert standin.json("auth", "whoami") == {"email": "ada@example.com"}
    assert standin.json("orgs", "list") == {"personal": "Ada Lovelace", "acme": "Acme Ltd"}
    standin.set_version("0.1.0")
    names = "Name Version Commit BranchName BuildDate OS Architecture Environment"
    shown = standin.json("version")
    assert (list(shown), shown["Version"]) == (names.split(), "0.1.0")


def test_the_token_of_the_environment_beats_a_login(standin: Standin) -> None:
    """flyctl internal/config/config.go:150 applyEnv, internal/env/env.go:12 (the first that is present)."""

    def whoami(**env: str) -> tuple[int, str]:
        done = standin.fly("auth", "whoami", **env)
        return done.returncode, done.stdout.strip() or done.stderr.strip()

    let_in, token = (0, "ada@example.com"), os.environ["FLY_API_TOKEN"]
    assert whoami(FLY_API_TOKEN="") == let_in, "by the login"
    status, words = whoami(FLY_API_TOKEN="old")
    assert (status, words.startswith("Error: failed retrieving current user: ")) == (1, True)
    assert whoami(FLY_API_TOKEN=token, FLY_ACCESS_TOKEN="old") == (1, words)
    assert whoami(FLY_API_TOKEN="old", FLY_ACCESS_TOKEN=token) == let_in
    assert whoami(FLY_API_TOKEN="old", FLY_ACCESS_TOKEN="") == let_in, "an empty one hides the other"
    standin.set_login(None)
    status, name = whoami(FLY_API_TOKEN=token)
    assert (status, name.endswith("@tokens.fly.io")) == (0, True)
    for line in ("auth whoami", "apps create x -o acme", "apps list"):
        done = standin.fly(*line.split(), FLY_API_TOKEN="")
        assert (done.returncode, "no access token available" in done.stderr) == (1, True)


def test_a_token_of_one_app_lists_none(standin: Standin, app: str) -> None:
    """Seen of flyctl 0.4 (simonw/datasette.io#188)."""
    token = standin.app_token()
    for line, status in (("auth whoami", 0), (f"status -a {app}", 0), ("apps list", 1)):
        done = standin.fly(*line.split(), FLY_API_TOKEN=token)
        assert (done.returncode, "Not authorized" in done.stderr) == (status, bool(status)), done


def test_flags_in_the_environment(standin: Standin, app: str) -> None:
    """internal/flag/context.go:139 GetOrg, internal/config/config.go:155-161, internal/env/env.go:29."""

    def listed(*flags: str, **env: str) -> set[str]:
        done = standin.fly("apps", "list", "--json", *flags, **env)
        assert done.returncode == 0, done
        return {one["Organization"]["Slug"] for one in json.loads(done.stdout)}

    assert listed() == {"acme", "personal"}
    assert listed(FLY_ORG="acme") == {"acme"}
    assert listed("-o", "personal", FLY_ORG="acme") == {"personal"}
    assert listed(FLY_ORGANIZATION="acme") == {"acme", "personal"}, "GetOrg does not read it"
    assert "organization nobody not found" in standin.fly("apps", "list", FLY_ORG="nobody").stderr
    for value, is_json in (("1", True), ("T", True), ("ok", True), ("yes", False), ("0", False)):
        assert (standin.fly("auth", "whoami", FLY_JSON=value).stdout[0] == "{") == is_json
    for variable in ("FLY_ORG", "FLY_ORGANIZATION"):
        refused = standin.fly("apps", "create", app, "-y", **{variable: "acme"})
        assert "Name has already been taken" in refused.stderr, "the organization is known"
    foreign = standin.fly("ips", "allocate-v6", "--private", "-a", app, FLY_ORG="personal")
    assert "--org of another organization" in foreign.stderr, "internal/command/ips/allocate.go:133"
    ignored = {"FLY_REGION": "lhr", "FLY_VERBOSE": "1", "FLY_LOCAL_ONLY": "1"}
    assert standin.fly("apps", "list", **ignored).stdout == standin.fly("apps", "list").stdout


def test_one_organization_is_chosen_by_itself(tmp_path: Path) -> None:
    """internal/prompt/prompt.go:248 Org."""
    name = f"standin-{secrets.token_hex(4)}"
    with Standin(tmp_path, orgs={"personal": "Ada Lovelace"}) as alone:
        done = alone.fly("apps", "create", name)
        assert (done.returncode, done.stdout) == (0, f"New app created: {name}\n")
        assert done.stderr == "automatically selected personal organization: Ada Lovelace\n"


def test_what_is_missing_is_said_by_the_command_itself(standin: Standin, app: str) -> None:
    for line, words in (
        # internal/prompt/prompt.go:580
        ("apps create -o acme", "name argument or flag must be specified when not running interactively"),
        ("apps destroy -y", "no app names provided"),  # internal/command/apps/destroy.go:55
        # internal/command/machine/run.go:434
        (f"machine run -a {app}", "image argument can't be an empty string"),
    ):
        done = standin.fly(*line.split())
        assert (done.returncode, done.stderr) == (1, f"Error: {words}\n")


def test_a_token_is_printed_by_its_command_alone(standin: Standin) -> None:
    token = standin.fly("tokens", "create", "org", "-o", "acme", "-x", "1h").stdout.strip()
    assert token.startswith("FlyV1 ")
    assert standin.fly("apps", "list", "-t", token).returncode == 0, "it is a token of the network"
    for wrong in (["-t", "wrong"], ["-twrong"], ["--access-token", "wrong"], ["--access-token=wrong"]):
        assert standin.fly("apps", "list", *wrong).returncode == 1
    assert token not in json.dumps(standin.journal())
    assert "wrong" not in json.dumps(standin.journal())


def test_sizes_are_named_and_without_a_price(standin: Standin) -> None:
    size = standin.json("platform", "vm-sizes")["shared-cpu-1x"]
    assert size == {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}


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


def test_which_app_is_meant(standin: Standin, app: str) -> None:
    def name(env: dict[str, str], *flags: str) -> str:
        line = ["fly", "status", "--json", "-c", str(ROOT / "fly/public_http.toml"), *flags]
        return json.loads(subprocess.check_output(line, env=env))["Name"]

    found = name(standin.env()), name(standin.env(FLY_APP=app)), name(standin.env(FLY_APP="x"), "-a", app)
    assert found == ("public-http", app, app)


def test_destroying_wants_a_yes_and_an_app(standin: Standin, app: str) -> None:
    # internal/command/apps/destroy.go:61-70
    assert standin.fly("apps", "destroy", app).stderr == (
        "Destroying an app is not reversible.\n"
        "Error: yes flag must be specified when not running interactively\n"
    )
    assert 'Could not find App "nobody"' in standin.fly("apps", "destroy", "nobody", app, "-y").stderr
    assert [one["Name"] for one in standin.json("apps", "list", "-o", "acme")] == [app]
    assert standin.fly("apps", "destroy", app, "-y").returncode == 0
    assert standin.json("apps", "list", "-o", "acme") == []


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
