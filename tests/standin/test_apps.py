"""Who is logged in, apps and their addresses, as the stand-in for flyctl has them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from tests.support.command import ROOT

if TYPE_CHECKING:
    from tests.standin.harness import Standin


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
    assert "yes flag must be specified" in standin.fly("apps", "destroy", app).stderr
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
