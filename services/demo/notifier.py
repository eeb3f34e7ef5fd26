"""What the demo asks of the running services: how far they are, who stands where, and the numbers."""

import asyncio
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from urllib.parse import quote

import httpx
import msgspec

from schemas.answers import CustomerList, CustomerRow, History, Progress, Summary
from services.local.errors import CannotStart

PATIENCE_S = 60.0
PAUSE_S = 0.5
PAGE = 1000


class Notifier:
    """The notifier's API. A notifier that is just being restarted is waited for; CannotStart if it stays away."""

    def __init__(self, client: httpx.AsyncClient, *, patience_s: float = PATIENCE_S) -> None:
        """client: its base address is the notifier's."""
        self._client = client
        self._patience_s = patience_s

    async def progress(self) -> Progress:
        return msgspec.json.decode(await self._get("/v1/progress"), type=Progress)

    async def summary(self) -> Summary:
        return msgspec.json.decode(await self._get("/v1/summary"), type=Summary)

    async def history(self, subject: str) -> History:
        return msgspec.json.decode(await self._get(f"/v1/customers/{quote(subject, safe='')}/history"), type=History)

    async def customers(self, **filters: str) -> AsyncIterator[CustomerRow]:
        """All customers, page by page."""
        cursor: str | None = None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = msgspec.json.decode(
                await self._get("/v1/customers", limit=str(PAGE), **filters, **more), type=CustomerList
            )
            for row in page.customers:
                yield row
            cursor = page.next
            if cursor is None:
                return

    async def _get(self, path: str, **parameters: str) -> bytes:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                response = await self._client.get(path, params=parameters)
                if response.is_success:
                    return response.content
                why = f"{response.status_code} {response.text[:200]}"
                if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise CannotStart(f"the notifier refuses {path}: {why}")
            except httpx.TransportError as error:
                why = str(error) or type(error).__name__
            if time.monotonic() > deadline:
                raise CannotStart(f"the notifier has not answered for {self._patience_s:.0f} s: {why}")
            await asyncio.sleep(PAUSE_S)
