"""The 6PN worker: jobs run beside the event loop, a few at a time, as long as somebody waits for them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import trio

LONG = b'{"rounds": 1000}'


async def send_job(client: Any, body: bytes) -> None:
    await client.send(b"POST /jobs HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


async def test_job_is_done(start: Any) -> None:
    server = await start("sixpn_worker", FLY_MACHINE_ID="m")
    reply = await server.request("/jobs", method="POST", body=b'{"rounds": 2}')
    once = hashlib.pbkdf2_hmac("sha256", b"", b"job", 10_000)
    digest = hashlib.pbkdf2_hmac("sha256", once, b"job", 10_000).hex()
    answer = reply.json()
    assert (answer["digest"], answer["rounds"], answer["machine"]) == (digest, 2, "m")


NONSENSE = [b"", b"{", b"7", b"{}", b'{"rounds": 0}', b'{"rounds": 1001}', b'{"rounds": true}', b"[" * 4000]
NONSENSE += [b'{"rounds": "\\ud800"}', b'{"rounds": %b}' % (b"9" * 4000)]  # half a character; a long number
NONSENSE += [b'{"rounds": %b%b}' % (b"[" * depth, b"]" * depth) for depth in range(900, 1000, 10)]


@pytest.mark.parametrize("body", NONSENSE)
async def test_job_that_makes_no_sense(start: Any, body: bytes) -> None:
    server = await start("sixpn_worker")
    reply = await server.request("/jobs", method="POST", body=body)
    assert reply.status == 400
    assert b'expected {"rounds": N} with a whole N from 1 to 1000, got ' in reply.body


async def test_full_worker_says_so(start: Any) -> None:
    server = await start("sixpn_worker", edit={"JOBS": 1})
    async with await server.connect() as client:
        await send_job(client, LONG)
        with trio.fail_after(5):
            while (full := await server.request("/jobs", method="POST", body=b'{"rounds": 1}')).status == 200:
                pass
        assert (full.status, full.headers["retry-after"]) == (503, "1")
        assert (await server.request()).status == 200  # the event loop is free all the same


async def test_client_gone_frees_the_place(start: Any) -> None:
    server = await start("sixpn_worker", edit={"JOBS": 1, "MAX_ROUNDS": 1000000})
    async with await server.connect() as client:
        await send_job(client, b'{"rounds": 1000000}')
        await server.request()
    assert (await server.event("job_cancelled"))["seconds"] < 5
    assert (await server.request("/jobs", method="POST", body=b'{"rounds": 1}')).status == 200


async def test_binds_ipv6_only(start: Any) -> None:
    server = await start("sixpn_worker", BIND_HOST="::1")
    assert (await server.request("/whoami")).json()["local"]["address"] == "::1"
    with pytest.raises(OSError, match="all attempts"):
        await trio.open_tcp_stream("127.0.0.1", server.address[1])
