"""A stand-in for flyctl that acts on the local Fly network: for tests of what drives flyctl.

It takes only what flyctl's documentation lists (flyctl.json, argv.py), answers with flyctl's JSON, remembers
(store.py), takes settings from its environment (settings.py), and fails on request. FLY_STANDIN names its
directory. It does not wait ten seconds for a smoke check (deploy/machines_deploymachinesapp.go:1503).
Sources of every command: flyctl internal/command/..., fly-go types.go.
"""

from __future__ import annotations

import contextlib
import io
import select
import signal
import sys
from typing import Any

import store
from argv import Call, Refused, parse

INTERRUPTED = 127
"""internal/cli/cli.go:102, for a context that main.go newContext cancels; not a word is said."""


def main(argv: list[str]) -> int:
    """Run one command line; returns the exit status."""
    interrupt = {signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, interrupt)  # the journal is kept whole
    number, status = store.begin(argv), INTERRUPTED
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupt)
        status = _run(argv)
    except KeyboardInterrupt:
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, interrupt)
        store.end(number, status)
    return status


def _run(argv: list[str]) -> int:
    try:
        call = parse(argv)
        if "help" in call.flags:
            print(f"Usage: fly {call.command}")
            return 0
        return _with_fault(call, store.fault(argv))
    except Refused as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def _with_fault(call: Call, rule: dict[str, Any]) -> int:
    """Do the command, and what the rule says to it; an empty rule says nothing."""
    kind = rule.get("do")
    if kind == "hang":
        while True:
            signal.pause()
    if kind == "slow":
        select.select([], [], [], rule["seconds"])
    output = io.StringIO()
    if kind != "fail-before":
        with contextlib.redirect_stdout(output if kind else sys.stdout):
            _do(call)
    if kind == "garbage-json":
        print('{"not": JSON')
    elif kind == "slow":
        print(output.getvalue(), end="")
    elif kind:
        print(rule.get("stderr") or "Error: the connection was lost", file=sys.stderr)
        return int(rule.get("status", 1))
    return 0


def _do(call: Call) -> None:
    import commands  # with all it imports, only now: most mistakes are found without

    commands.run(call)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
