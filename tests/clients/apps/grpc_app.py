"""A gRPC app on [::]:8080 whose methods do as the first message says: `CODE ANSWERS WHEN`, in words.

It sends so many answers and ends with that status code and `details`; `early`, it does not wait for the
client's end, and `late`, it does. The kind of the method is its name.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

CODES = {code.value[0]: code for code in grpc.StatusCode}


def serve(first: bytes, rest: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    code, answers, when = first.decode().split()
    context.set_trailing_metadata((("x-trailer", "t"),))
    got = 1 + (sum(1 for _ in rest) if when == "late" else 0)
    for _ in range(int(answers)):
        yield str(got).encode()
    if CODES[int(code)] is not grpc.StatusCode.OK:
        context.abort(CODES[int(code)], "details")


def one(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
    """The one answer, which a status other than OK prevents."""
    (answer,) = serve(next(requests), requests, context)
    return answer


def many(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    return serve(next(requests), requests, context)


METHODS: dict[str, Any] = {
    "unary": grpc.unary_unary_rpc_method_handler(lambda r, c: one(iter([r]), c)),
    "server_stream": grpc.unary_stream_rpc_method_handler(lambda r, c: many(iter([r]), c)),
    "client_stream": grpc.stream_unary_rpc_method_handler(one),
    "both_streams": grpc.stream_stream_rpc_method_handler(lambda rs, c: many(itertools.chain(rs), c)),
}
server = grpc.server(ThreadPoolExecutor(32))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", METHODS),))
server.add_insecure_port("[::]:8080")
server.start()
server.wait_for_termination()
