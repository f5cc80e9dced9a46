"""The peer of the server table: the same two endpoints as a FastAPI tutorial would have them."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

app = FastAPI()


@app.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    return "ok\n"


@app.get("/whoami")
async def whoami(request: Request) -> dict[str, Any]:
    names = {"app": "FLY_APP_NAME", "machine": "FLY_MACHINE_ID", "region": "FLY_REGION"}
    return {key: os.environ.get(variable) for key, variable in names.items()} | {
        "http_version": request.scope["http_version"],
        "peer": request.client,
        "headers": dict(request.headers),
    }
