"""The command line called in this process: `tierline ...`, its exit code, stdout and stderr."""

import asyncio

import pytest

from services.cli.main import main


async def tierline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: object
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["tierline", *map(str, args)])

    def ended() -> int:
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    code = await asyncio.to_thread(ended)
    said = capsys.readouterr()
    return code, said.out, said.err
