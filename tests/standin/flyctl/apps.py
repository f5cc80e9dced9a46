"""`fly apps` and `fly status`, with the fields of fly-go's App, AppCompact, Organization and Release."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import gotypes
import settings
import store
from account import show
from argv import Refused
from commands import app_name, existing, said
from flyroutes.errors import PlatformError
from flyroutes.platform.model import DEFAULT_NETWORK

if TYPE_CHECKING:
    from argv import Call
    from flyroutes.machines_api.answers import AppInfo
    from flyroutes.machines_api.client import Fly

NEVER = "0001-01-01T00:00:00Z"
"""How Go prints the time that is none."""
OWN = "personal"
"""Slug of the one organization of the local network; that of the apps which the stand-in did not create."""
_NODES: dict[str, Any] = {"Nodes": None, "Edges": None}


async def apps_create(call: Call, fly: Fly) -> None:
    """flyctl internal/command/apps/create.go; the name is taken everywhere or nowhere, as on Fly."""
    if not call.arguments:
        raise Refused("name argument or flag must be specified when not running interactively")
    (name,), org = call.arguments, settings.chosen_organization(call)
    try:
        await fly.create_app(name, call.flags.get("network", ""))
    except PlatformError as error:
        taken = "Validation failed: Name has already been taken"
        raise Refused(taken if "taken" in str(error) else said(error)) from error
    with store.change() as state:
        state["apps"][name] = {"org": org, "created": True, "releases": []}
    if call.flags.get("json"):
        show(_app(await fly.app(name), store.read()))
    else:
        print(f"New app created: {name}")


async def apps_list(call: Call, fly: Fly) -> None:
    """flyctl internal/command/apps/list.go: of all organizations, or of -o's or FLY_ORG's (getOrg)."""
    wanted = settings.organization(call)
    state, found = store.read(), await fly.apps()
    shown = [_app(app, state) for app in found]
    shown = [app for app in shown if app["Organization"]["Slug"] == (wanted or app["Organization"]["Slug"])]
    if call.flags.get("json"):
        show(shown)
    else:
        print("\n".join(app["Name"] for app in shown))


async def apps_destroy(call: Call, fly: Fly) -> None:
    """flyctl internal/command/apps/destroy.go: one after the other, up to the first that fails."""
    if not call.arguments:
        raise Refused("no app names provided")
    for name in call.arguments:
        if not call.flags.get("yes"):
            print("Destroying an app is not reversible.", file=sys.stderr)
            raise Refused("yes flag must be specified when not running interactively")
        await existing(name, fly)
        await fly.delete_app(name, force=True)
        with store.change() as state:
            state["apps"].pop(name, None)
        print(f"Destroyed app {name}")


async def status(call: Call, fly: Fly) -> None:
    """flyctl internal/command/status/machines.go: the Machines that deploys made."""
    name, state = app_name(call), store.read()
    try:
        app = await existing(name, fly)
    except Refused as error:
        raise Refused(f"failed to get app: {error}") from error
    machines = sorted((one.raw for one in await fly.machines(name)), key=lambda raw: raw["id"], reverse=True)
    managed = [gotypes.machine(one) for one in machines if _is_managed(one)]
    full = _app(app, state)
    releases = state["apps"].get(app.name, {}).get("releases", [])
    keys = "ID Name Deployed Status Hostname AppURL PlatformVersion"
    shown = {key: full[key] for key in keys.split()} | {
        "AppURL": f"https://{full['Hostname']}",
        "Machines": managed,
        "Organization": _organization_basic(full["Organization"]),
        "Version": releases[-1]["version"] if releases else 0,
    }
    if full["Network"]:
        shown["Network"] = full["Network"]
    if call.flags.get("json"):
        show(dict(sorted(shown.items())))
    else:
        print(f"{app.name} {full['Status']}")


def _is_managed(machine: dict[str, Any]) -> bool:
    metadata = machine["config"].get("metadata") or {}
    return bool(metadata.get("fly_platform_version") == "v2")


def org_of(app: str, state: dict[str, Any]) -> str:
    """Slug of the organization that an app belongs to."""
    return str(state["apps"].get(app, {}).get("org", OWN))


def _app(app: AppInfo, state: dict[str, Any]) -> dict[str, Any]:
    """fly-go types.go App; what the query of `apps list` leaves out has Go's zero value."""
    slug = org_of(app.name, state)
    releases = state["apps"].get(app.name, {}).get("releases", [])
    image = dict.fromkeys(["Registry", "Repository", "Tag", "Version", "Digest"], "")
    return {
        "ID": app.name,
        "InternalNumericID": 0,
        "Name": app.name,
        "State": "",
        "Status": app.status,
        "Deployed": app.status == "deployed",
        "Hostname": f"{app.name}.fly.dev",
        "AppURL": "",
        "Version": 0,
        "NetworkID": 0,
        "Network": "" if app.network == DEFAULT_NETWORK else app.network,
        "Release": None,
        "Organization": _organization(slug, state["orgs"].get(slug, slug)),
        "Secrets": None,
        "CurrentRelease": _release(releases[-1]) if releases else None,
        "Releases": {"Nodes": None},
        "IPAddresses": {"Nodes": None},
        "SharedIPAddress": "",
        "IPAddress": None,
        "Certificates": {"Nodes": None},
        "PostgresAppRole": None,
        "Image": None,
        "ImageUpgradeAvailable": False,
        "ImageVersionTrackingEnabled": False,
        "ImageDetails": image,
        "LatestImageDetails": image,
        "PlatformVersion": "machines",
        "LimitedAccessTokens": None,
        "CurrentLock": None,
    }


def _organization(slug: str, name: str) -> dict[str, Any]:
    texts = dict.fromkeys(["ID", "InternalNumericID", "RemoteBuilderImage", "RawSlug", "Type"], "")
    lists = dict.fromkeys(["Domains", "WireGuardPeers", "DelegatedWireGuardTokens"], _NODES)
    others = "RemoteBuilderApp Settings WireGuardPeer LoggedCertificates LimitedAccessTokens"
    nothing = dict.fromkeys(others.split())
    return {**texts, **lists, **nothing, "Name": name, "Slug": slug, "PaidPlan": False, "Billable": False}


def _organization_basic(full: dict[str, Any]) -> dict[str, Any]:
    return {key: full[key] for key in ["ID", "InternalNumericID", "Name", "Slug", "RawSlug", "PaidPlan"]}


def _release(release: dict[str, Any]) -> dict[str, Any]:
    """`apps list` asks for two fields, under which `Version` is not."""
    texts = "ID Reason Description DeploymentStrategy EvaluationID ImageRef"
    return {
        **dict.fromkeys(texts.split(), ""),
        "Version": 0,
        "Stable": False,
        "InProgress": False,
        "Status": release["status"],
        "Metadata": None,
        "User": {"ID": "", "Name": "", "Email": "", "EnablePaidHobby": False},
        "CreatedAt": release["created_at"],
    }
