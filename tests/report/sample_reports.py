"""Reports as a validation writes them: a good one, one with ten faults, and one that could not see."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flyroutes.reference import ECHO, FLYCAST, PUBLIC, ROUTES, WORKER
from flyroutes.report.content import AppLine, Cause, Check, Diagnosis, MachineLine, Report, Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.report.content import Kind

PLACES = ("laptop", *ROUTES, "elsewhere")
HOW = {
    "public https": ("HEAD https://{}.fly.dev:443/", "HTTP/1.1 200 OK", "docs networking/app-services"),
    "public tcp": ("TCP to {}.fly.dev:5000", "connected", "docs networking/services"),
    "public udp": ("UDP to {}.fly.dev:5000", "the datagram back", "docs networking/udp-and-tcp"),
    "flycast http": ("GET http://{}.flycast:80/healthz", "HTTP/1.1 200 OK", "docs networking/flycast"),
    "6pn http": (
        "GET http://{}.internal:8080/healthz",
        "HTTP/1.1 200 OK",
        "docs networking/private-networking",
    ),
    "6pn udp": ("UDP to {}.internal:5000", "the datagram back", "docs networking/udp-and-tcp"),
}
WORKS = {
    *((PUBLIC, "public https"), (FLYCAST, "flycast http"), (WORKER, "6pn http")),
    *((ECHO, "public tcp"), (ECHO, "public udp"), (ECHO, "6pn udp")),
}
OTHERS: tuple[tuple[Kind, str, str], ...] = (
    ("setting", "exists", "{} exists and carries the mark"),
    ("setting", "ips", "{} has exactly the IPs its route needs"),
    ("setting", "services", "{} has exactly the services its route needs"),
    ("setting", "network", "{} is on the network of the four"),
    ("inside", "bind", "{} listens on the address its route needs"),
    ("inside", "port", "{} listens on the port its service names"),
    ("inside", "resolver", "The Machine of {} asks fdaa::3"),
    ("name", "internal", "{}.internal names the started Machines and no other"),
    ("name", "flycast", "{}.flycast names the Flycast IP, or nothing"),
    ("name", "apps", "_apps.internal lists {}"),
    ("machine", "state", "Every Machine of {} is started"),
    ("machine", "checks", "Every health check of {} passes"),
    ("machine", "direct", "Every Machine of {} answers by its own name"),
    ("machine", "image", "Every Machine of {} runs the same image"),
)
IPS = {
    PUBLIC: (("v6", "2a09:8280:1::50:dea1:0", ""), ("shared_v4", "66.241.124.17", "")),
    FLYCAST: (("private_v6", "fdaa:2:45b:0:1::3", "default"),),
    ECHO: (("v4", "137.66.12.201", ""),),
}


def app_name(role: str) -> str:
    """What the app is called."""
    return f"flyroutes-acme-{role}"


def _cell(index: int, source: str, target: str, route: str) -> Result:
    asked, came, reference = HOW[route]
    works = (target, route) in WORKS and (source != "elsewhere" or route.startswith("public"))
    check = Check(
        id=f"route.{source}.{target}.{route.replace(' ', '-')}",
        kind="route",
        title=f"{source} {'reaches' if works else 'does not reach'} {target} by {route}",
        target=target,
        expected="an answer" if works else "no address, a refusal or silence",
        standing="documented" if index % 9 else "assumed",
        reference=reference,
        source=source,
        route=route,
        works=works,
    )
    came = came if works else "no address" if route.startswith(("flycast", "public")) else "refused"
    seconds = 0.0021 + index % 17 * 0.0013 + (0.031 if route.startswith("public") else 0)
    return Result(check, "pass", f"{asked.format(app_name(target))} from {source} (iad)", came, seconds)


def _other(kind: Kind, name: str, title: str, target: str) -> Result:
    check = Check(
        id=f"{kind}.{target}.{name}",
        kind=kind,
        title=title.format(target),
        target=target,
        expected="as in fly.toml",
        standing="observed" if name == "image" else "documented",
        reference="docs networking/app-services",
    )
    asked = f"GET /v1/apps/{app_name(target)}/machines from laptop"
    return Result(check, "pass", asked, "as in fly.toml", None if kind == "setting" else 0.012)


def _app(role: str) -> AppLine:
    number = PLACES.index(role) if role in PLACES else 9
    machines = tuple(
        MachineLine(
            id=f"48e{number}29{index}f4d37{number}8",
            region=region,
            state="started",
            private_ip=f"fdaa:2:45b:a7b:{number}74:db4{index}:d3c6:2",
            checks=(("servicecheck-00-http-8080", "passing"),) if role != WORKER else (),
            image=f"registry.fly.io/{app_name(role)}:deployment-01HQ7X",
        )
        for index, region in enumerate(("iad", "ams") if role in ROUTES else ("iad",))
    )
    network = "flyroutes-acme-elsewhere" if role == "elsewhere" else "default"
    return AppLine(role, app_name(role), True, network, IPS.get(role, ()), machines)


def good() -> Report:
    """Six places, four apps, six routes, and everything as it must be."""
    routes = [(place, app, route) for place in PLACES for route in HOW for app in ROUTES]
    results = [_cell(index, *cell) for index, cell in enumerate(routes)]
    results += [_other(*other, app) for other in OTHERS for app in ROUTES]
    return Report(
        started_at=1_795_563_720.0,
        seconds=14.2,
        organization="acme",
        prefix="acme",
        network="default",
        observer="laptop",
        versions={"flyroutes": "0.1.0", "Python": "3.11.9", "API": "http://_api.internal:4280"},
        apps=tuple(_app(role) for role in (*ROUTES, "client", "elsewhere")),
        results=tuple(results),
    )


FAULTS: tuple[tuple[str, str, tuple[str, ...], str, str, str, str, Cause], ...] = (
    # target, route, IDs that fail (a trailing dot takes in a family), step, where it stopped, what came, why
    (
        *(WORKER, "6pn http", ("route.laptop.sixpn-worker.6pn-http", "route.udp-echo.sixpn-worker.6pn-http")),
        *("B1", "The process answers on fly-local-6pn, in its Machine", "refused", "no listener on fdaa:"),
        Cause(
            "wrong-bind",
            "It listens on 0.0.0.0:8080 alone, which is IPv4; 6PN is IPv6",
            "bind fly-local-6pn:8080 or [::]:8080, then: fly deploy -c fly/sixpn_worker.toml "
            f"-a {app_name(WORKER)}",
            True,
        ),
    ),
    (
        *(
            PUBLIC,
            "public https",
            ("setting.public-http.services", "route.elsewhere.public-http.public-https"),
        ),
        *("A2", "Reachable publicly, from anywhere", "closed without an answer", "no service on port 443"),
        Cause(
            "missing-service",
            "No service has port 443",
            f"add [http_service] to fly.toml, then: fly deploy -a {app_name(PUBLIC)}",
            True,
        ),
    ),
    (
        *(PUBLIC, "public https", ("inside.public-http.port", "route.laptop.public-http.public-https")),
        *("A2", "Reachable publicly, from anywhere", "HTTP/1.1 502 Bad Gateway", "PC01 in the log"),
        Cause(
            "port-mismatch",
            "The service names internal_port 8081 and the process listens on 8080",
            f"set internal_port = 8080, then: fly deploy -c fly/public_http.toml -a {app_name(PUBLIC)}",
            True,
        ),
    ),
    (
        *(FLYCAST, "", ("setting.flycast-api.ips", "route.elsewhere.flycast-api.public-https")),
        *("A2", "Not reachable publicly, from anywhere", "HTTP/1.1 200 OK", "it must not answer"),
        Cause(
            "public-ip",
            "The app has a public IP: 2a09:8280:1::50:dea1:7",
            f"fly ips release 2a09:8280:1::50:dea1:7 -a {app_name(FLYCAST)}",
            True,
        ),
    ),
    (
        *(
            FLYCAST,
            "flycast http",
            ("name.flycast-api.flycast", "route.public-http.flycast-api.flycast-http"),
        ),
        *("A3", "Reachable by Flycast, from within the Flycast IP's network", "no address", "NOERROR, empty"),
        Cause(
            "no-flycast-ip",
            "The app has no Flycast IP",
            f"fly ips allocate-v6 --private --network default -a {app_name(FLYCAST)}",
            True,
        ),
    ),
    (
        *(FLYCAST, "flycast http", ("route.laptop.flycast-api.flycast-http",)),
        *("A3", "Reachable by Flycast, from within the Flycast IP's network", "timeout", "no answer in 5 s"),
        Cause(
            "flycast-elsewhere",
            "The Flycast IP may be used from network staging, not from default",
            f"fly ips list -a {app_name(FLYCAST)} --json",
            False,
        ),
    ),
    (
        *(FLYCAST, "flycast http", ("route.sixpn-worker.flycast-api.flycast-http",)),
        *("A3", "Reachable by Flycast, from within the Flycast IP's network", "HTTP/1.1 301", "to https"),
        Cause(
            "force-https",
            "force_https is on: the answer is a redirect to a scheme without a certificate",
            f"set force_https = false, then: fly deploy -c fly/flycast_api.toml -a {app_name(FLYCAST)}",
            True,
        ),
    ),
    (
        *(ECHO, "public udp", tuple(f"route.{place}.udp-echo.public-udp" for place in PLACES)),
        *("A2", "Reachable publicly, from anywhere", "timeout", "no datagram in 3 s, five sent"),
        Cause(
            "udp-bind",
            "It listens on 0.0.0.0:5000, so that answers leave from an address nobody asked",
            f"bind fly-global-services:5000, then: fly deploy -c fly/udp_echo.toml -a {app_name(ECHO)}",
            True,
        ),
    ),
    (
        *(ECHO, "public tcp", ("machine.udp-echo.state", "route.laptop.udp-echo.public-tcp")),
        *("A1", "The process answers in a running Machine", "HTTP/1.1 503", "no Machine to send it to"),
        Cause(
            "all-stopped",
            "Every Machine is stopped and auto_start_machines is off",
            f"fly machine start 48e4290f4d3748 -a {app_name(ECHO)}",
            True,
        ),
    ),
    (
        *("", "6pn http", ("name.sixpn-worker.internal", "route.flycast-api.sixpn-worker.6pn-http")),
        *("B2", "Reachable by its .internal name, inside the network", "NXDOMAIN", "from 10.0.0.2"),
        Cause(
            "resolver",
            "The names were asked of 10.0.0.2; only fdaa:2:45b::3 knows them",
            "dig +noall +answer _apps.internal txt @fdaa:2:45b::3",
            False,
        ),
    ),
)
MAYBE = Cause("broken", "The process does not run", "fly logs -a flyroutes-acme-NAME", False)


def bad() -> Report:
    """The good one with ten faults, eleven inconclusive checks and a failure that nothing explains."""
    report = good()
    failed = {id_: (came, reason) for _, _, ids, _, _, came, reason, _ in FAULTS for id_ in ids}
    failed["machine.public-http.image"] = ("two images", "48e1290f4d3718 runs another one")
    doubts = {f"route.{place}.udp-echo.6pn-udp": "the probe ran out of time" for place in PLACES[:5]}
    doubts |= {f"route.elsewhere.{app}.6pn-udp": "no token for this Machine" for app in ROUTES}
    doubts |= {f"inside.{app}.resolver": "exec answered 408 after 30 s" for app in (WORKER, ECHO)}
    diagnoses = tuple(
        Diagnosis(target, route, step, stopped, (cause, MAYBE) if target else (cause,), ids)
        for target, route, ids, step, stopped, _, _, cause in FAULTS
    )
    notes = ("The client app has no Machine, so nothing was asked from there.",)
    return replace(
        report, results=tuple(_spoil(report.results, failed, doubts)), diagnoses=diagnoses, notes=notes
    )


def _spoil(
    results: Iterable[Result], failed: dict[str, tuple[str, str]], doubts: dict[str, str]
) -> Iterable[Result]:
    for result in results:
        if result.check.id in failed:
            came, reason = failed[result.check.id]
            yield replace(result, verdict="fail", came=came, reason=reason, seconds=3.0)
        elif result.check.id in doubts:
            yield replace(
                result, verdict="inconclusive", came="", reason=doubts[result.check.id], seconds=None
            )
        else:
            yield result


def inconclusive() -> Report:
    """Nothing failed, and nothing could be asked from three of the places."""
    report = good()
    blind = {r.check.id: "no Machine is started" for r in report.results if r.check.source in ROUTES[1:]}
    return replace(report, results=tuple(_spoil(report.results, {}, blind)))


HOSTILE = (
    "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&\x1b[31m\u202e\x00\ud800\n]]>$style"
)


def hostile() -> Report:
    """Evidence as an attacker would write it, wherever evidence can stand."""
    report = bad()
    results = (
        replace(
            result,
            came=HOSTILE,
            asked=HOSTILE,
            reason=HOSTILE,
            check=replace(result.check, id=f"{result.check.id}{HOSTILE}", title=HOSTILE, target=HOSTILE),
        )
        for result in report.results
    )
    diagnoses = (
        replace(
            one,
            target=HOSTILE,
            stopped=HOSTILE,
            step=HOSTILE,
            causes=(Cause(HOSTILE, HOSTILE, HOSTILE, True),),
        )
        for one in report.diagnoses
    )
    return replace(
        report,
        organization=HOSTILE,
        versions={HOSTILE: HOSTILE},
        notes=(HOSTILE,),
        apps=(AppLine(HOSTILE, HOSTILE, True, HOSTILE, ((HOSTILE,) * 3,)),),
        results=tuple(results),
        diagnoses=tuple(diagnoses),
    )
