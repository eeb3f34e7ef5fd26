"""A program of ours as a child of the supervisor: a service, run with a command line and found ready by HTTP."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from services.local.child import OneProcess
from services.local.errors import FAILED, MISUSED, CannotStart, Died
from services.local.process import OnLine, Process, describe_exit


class Command(OneProcess):
    """`argv`, started in the environment `env` (None: ours); Python in it is told not to hold back its output.

    ready_url: asked until it answers 200; without one the child counts as ready at once.
    within: seconds it may take to be ready.
    on_line: gets each line it prints, stdout and stderr together.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        ready_url: str | None = None,
        within: float = 60.0,
        grace: float = 15.0,
        on_line: OnLine | None = None,
    ) -> None:
        super().__init__(name, grace=grace)
        self._argv = argv
        self._env = {**(os.environ if env is None else env), "PYTHONUNBUFFERED": "1"}
        self._ready_url = ready_url
        self._within = within
        self._on_line = on_line

    async def start(self) -> None:
        """Run it; returns when it is ready.

        Died if it ends before that, with exit code 2 and its last line as message if that was its own exit code.
        CannotStart if there is no such program or it isn't ready in time; it is then killed.
        """
        try:
            self._process = await Process.spawn(self._argv, env=self._env, on_line=self._on_line)
        except OSError as error:
            raise CannotStart(f"{self.name}: cannot run {self._argv[0]}: {error.strerror}") from error
        try:
            if self._ready_url is not None:
                await self._ready(self._process, self._ready_url)
        except BaseException:
            await self.kill()
            raise

    async def _ready(self, process: Process, url: str) -> None:
        answer = "no answer"
        try:
            async with asyncio.timeout(self._within), httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
                while process.exit_code is None:
                    try:
                        response = await client.get(url)
                        if response.is_success:
                            return
                        answer = f"{response.status_code} {response.text[:200]}"
                    except httpx.TransportError:
                        pass  # not listening yet
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise CannotStart(f"{self.name} was not ready within {self._within:g} s: {url}: {answer}") from None
        code = await process.wait()
        if code == MISUSED:
            raise Died(f"{self.name}: {process.last_line() or describe_exit(code)}", exit_code=MISUSED)
        raise Died(f"{self.name} ended while starting: {describe_exit(code)}", exit_code=FAILED)
