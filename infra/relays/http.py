"""The HTTP client of the edge: connections that stay warm from block to block, and nothing taken from the environment."""

from __future__ import annotations

import logging

import httpx

# Above the block interval, so that a connection opened for one block still stands at the next.
_KEEP_ALIVE_S = 120.0
MAX_REPLY_BYTES = 16 << 20


class ReplyTooLarge(Exception):
    """A reply above the limit."""


def new_client(timeout_s: float) -> httpx.AsyncClient:
    """A client with this timeout for each phase of a request, in seconds."""
    # It logs each URL, and the URL of a provider often holds its access key.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return httpx.AsyncClient(
        timeout=httpx.Timeout(timeout_s),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=_KEEP_ALIVE_S),
        # A proxy or a .netrc of the environment must not see bundles.
        trust_env=False,
        follow_redirects=False,
        # Plain bytes: a small compressed reply cannot become a large one.
        headers={"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "sluice"},
    )


async def read_bounded(response: httpx.Response, limit: int) -> bytes:
    """The body as sent. Raises `ReplyTooLarge` above `limit` bytes."""
    parts, size = [], 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > limit:
            raise ReplyTooLarge(f"more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)
