"""Tokens of three clients, and calls with them."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import grpc

from penstock.manifest import digest_of, new_token

MASTER, ROBOT, OTHER = new_token(), new_token(), new_token()


def written(path: Path, robot: str = "") -> Path:
    path.write_text(
        f'[tokens.master]\nsha256 = "{digest_of(MASTER)}"\n'
        f'[tokens.other]\nsha256 = "{digest_of(OTHER)}"\n'
        f'[tokens.robot]\nsha256 = "{digest_of(ROBOT)}"\n{robot}'
    )
    path.chmod(0o640)
    return path


def bearing(token: str) -> dict[str, Any]:
    return {"metadata": (("authorization", f"Bearer {token}"),)}


async def status_of(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    try:
        await call
    except grpc.aio.AioRpcError as exc:
        return exc.code(), exc.details() or ""
    return grpc.StatusCode.OK, ""
