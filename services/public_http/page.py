"""The page for people: page.html filled in, page.css inside it. No script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path
from string import Template
from typing import Any

HERE = Path(__file__).parent
STYLE = (HERE / "page.css").read_text(encoding="utf-8")
PAGE = Template((HERE / "page.html").read_text(encoding="utf-8"))
# Even if a value slipped through unescaped, the browser would run and load nothing but this very style.
# Source: https://www.w3.org/TR/CSP3/
DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
REST = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
POLICY = f"default-src 'none'; style-src 'sha256-{DIGEST}'; {REST}"

ROUTES = {
    "flycast": ("Flycast", "Private HTTP through Fly Proxy", "0.0.0.0"),
    "6pn": ("6PN", "Straight to a Machine by its .internal name", "fly-local-6pn"),
    "udp": ("UDP", "Datagrams from the public side", "fly-global-services"),
}
"""For each route: its name, how it travels, and the address its server has to bind on Fly."""

CARD = Template("""\
<li class="card $state">
  <div class="top"><h2>$name</h2><span class="pill">$word</span></div>
  <p class="how">$how</p>
  <p class="figure">$figure</p>
  <dl><div><dt>asks</dt><dd>$target</dd></div><div><dt>binds on Fly</dt><dd>$bind</dd></div></dl>
</li>""")


def card(row: dict[str, Any]) -> str:
    """Return the HTML of one route; `row` is one of /reach, as the public sees it."""
    name, how, bind = ROUTES[row["route"]]
    unit = f"{row['latency_ms']:.1f} <small>ms</small>" if row["ok"] else escape(row["reason"])
    state, word = ("up", "answers") if row["ok"] else ("down", "no answer")
    return CARD.substitute(
        name=name, how=how, bind=bind, state=state, word=word, figure=unit, target=escape(row["target"])
    )


def render(machine: dict[str, str | None], rows: list[dict[str, Any]]) -> str:
    """Return the page that `machine` shows for `rows`."""
    good = sum(row["ok"] for row in rows)
    extremes = {len(rows): ("All routes answer", "up"), 0: ("Only this page answers", "down")}
    headline, state = extremes.get(good, (f"{good} of {len(rows)} other routes answer", "partly"))
    who = {key: escape(value or "not on Fly") for key, value in machine.items()}
    cards = "\n".join(card(row) for row in rows)
    return PAGE.substitute(who, style=STYLE, headline=headline, state=state, cards=cards)
