"""Wait for a condition with a deadline; nothing in the tests sleeps for a guessed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], T | Awaitable[T]], *, within: float = 20.0, what: str = "") -> T:
    """The first true value of `condition`, asked every 20 ms; AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        value: T = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or condition}; last answer {value!r}")
        await asyncio.sleep(0.02)
