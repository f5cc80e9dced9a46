"""Calls every method of grpc_app.py with every status code; prints what it heard as JSON.

Arguments: `tls` or `plain`, and the target. Each line of the list is [method, code, answers, when] as asked
for, and [code, answers, details, trailer] as heard.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {
    "unary": "unary_unary",
    "server_stream": "unary_stream",
    "client_stream": "stream_unary",
    "both_streams": "stream_stream",
}


def open_channel(how: str, target: str) -> grpc.Channel:
    if how == "plain":
        return grpc.insecure_channel(target)
    roots = Path(os.environ["SSL_CERT_FILE"]).read_bytes()
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(roots))


def requests(first: bytes, when: str, done: threading.Event) -> Iterator[bytes]:
    """Two messages; when the answer is to come early, the client's end only comes after it."""
    yield first
    yield b"second"
    if when == "early":
        done.wait(20)


def call(channel: grpc.Channel, method: str, code: int, answers: int, when: str) -> list[Any]:
    first, done = f"{code} {answers} {when}".encode(), threading.Event()
    stub = getattr(channel, KINDS[method])(f"/test.Service/{method}")
    sent = requests(first, when, done) if KINDS[method].startswith("stream") else first
    got: list[str] = []
    try:
        if KINDS[method].endswith("stream"):
            answer = stub(sent, timeout=30)
            for one in answer:  # what came before an error counts
                got.append(one.decode())
        else:
            one, answer = stub.with_call(sent, timeout=30)
            got.append(one.decode())
    except grpc.RpcError as error:
        answer = error
    done.set()
    return [answer.code().value[0], got, answer.details(), dict(answer.trailing_metadata()).get("x-trailer")]


def cases() -> Iterator[tuple[str, int, int, str]]:
    for method, code in itertools.product(KINDS, range(17)):
        for answers in (0, 2) if method.endswith(("server_stream", "both_streams")) else (1,):
            for when in ("early", "late") if method in ("client_stream", "both_streams") else ("late",):
                yield method, code, answers, when


with open_channel(*sys.argv[1:3]) as channel:
    print(json.dumps([[case, call(channel, *case)] for case in cases()]))
