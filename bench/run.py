"""`./dev bench [NAME...]`: the tables of this directory, all of them or those named."""

from __future__ import annotations

import importlib
import os
import sys

import report

TABLES = ("servers", "rps", "echo", "resolver", "up", "machines", "proxy", "wake", "validate")


def main(names: list[str]) -> int:
    """Print the named tables; status 1 if one could not be measured, 2 for a name that is none of them."""
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        print(f"bench: expected names out of {', '.join(TABLES)}, got {', '.join(unknown)}", file=sys.stderr)
        return 2
    failed: list[str] = []
    cores = os.sched_getaffinity(0)
    for name in names or TABLES:
        where = report.machine()
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            report.show(importlib.import_module(name).table(), where)
        except (RuntimeError, OSError) as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            failed.append(name)
        os.sched_setaffinity(0, cores)
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
