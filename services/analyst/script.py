"""A script for `tierline simulate`: what happens, one JSON object a line, each at an instant of the script's clock.

Every line has `at`, the instant of acceptance, and one action. What is wrong with a script is said before any of it is
run; what is wrong with an *event* in it, or with whom it would merge, part or erase, is the simulation's business, as
it is ingest's in a running house.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from schemas.instants import asked
from schemas.problems import Refused
from schemas.unreadable import UNREADABLE
from services.scorer.domain.document import suggest
from services.scorer.domain.instants import to_ms
from services.scorer.domain.policy import Policy, PolicyError
from services.scorer.policies import read as read_policy

ACTIONS = ("event", "activate", "merge", "unmerge", "erase", "override", "query")


class ScriptError(Exception):
    """One line: file, line, what is wrong with it and what to do."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Pair(_Part, frozen=True):
    """Two ids of one customer."""

    from_: str = msgspec.field(name="from")
    into: str


class Subject(_Part, frozen=True):
    subject: str


class Override(_Part, frozen=True):
    """As an event of type override, whose id and time the script's line gives; so it has an end in any case."""

    subject: str
    dimension: str
    value: str | bool | None
    owner: str
    reason: str
    until: str


class _Line(_Part, frozen=True):
    at: str
    event: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    activate: str | None = None
    effective_at: str | None = None
    merge: Pair | None = None
    unmerge: Pair | None = None
    erase: Subject | None = None
    override: Override | None = None
    query: Subject | None = None


class Post(msgspec.Struct, frozen=True):
    """An event as it is posted."""

    raw: bytes


class Activate(msgspec.Struct, frozen=True):
    policy: Policy
    effective_ms: int


class Merge(msgspec.Struct, frozen=True):
    ids: Pair


class Unmerge(msgspec.Struct, frozen=True):
    ids: Pair


class Erase(msgspec.Struct, frozen=True):
    subject: str


class Query(msgspec.Struct, frozen=True):
    subject: str


Action = Post | Activate | Merge | Unmerge | Erase | Query


class Step(msgspec.Struct, frozen=True):
    """line: its number in the script, from 1.  at_ms: the clock"""

    line: int
    at_ms: int
    action: Action


_NO_EVENT = msgspec.Raw()
_lines = msgspec.json.Decoder(_Line)


def read(file: Path) -> list[Step]:
    """The whole script, checked, with the policies it activates; ScriptError otherwise.

    Policies are looked for beside the script, then from where one stands.
    """
    try:
        with file.open("rb") as lines:
            return list(_steps(lines, file))
    except OSError as error:
        raise ScriptError(f"{file} cannot be read: {error.strerror}") from error


def _steps(lines: Iterable[bytes], file: Path) -> Iterator[Step]:
    clock_ms = effective_ms = None
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = _decoded(text.removeprefix(b"\xef\xbb\xbf") if number == 1 else text)
            at_ms = _instant(line.at, "at")
            if clock_ms is not None and at_ms < clock_ms:
                raise ValueError(f"at {line.at} is before the line above; put the lines in the order they happen")
            clock_ms = at_ms
            action = _action(line, number, at_ms, file)
            if isinstance(action, Activate):
                if effective_ms is not None and action.effective_ms < effective_ms:
                    raise ValueError("effective_at is before that of the policy activated last; it must not go back")
                effective_ms = action.effective_ms
        except ValueError as error:
            raise ScriptError(f"{file}:{number}: {error}") from error
        yield Step(number, at_ms, action)


def _decoded(text: bytes) -> _Line:
    try:
        line = _lines.decode(text)
        _check_each_once(text)
    except msgspec.ValidationError as error:
        raise ValueError(f"{_plain(str(error))}; {_remedy(str(error))}") from None
    except UNREADABLE as error:
        raise ValueError(f"not JSON ({error}); write one object a line") from None
    given = [name for name in ACTIONS if getattr(line, name) not in (None, _NO_EVENT)]
    if len(given) != 1:
        said = f"both {given[0]} and {given[1]}" if given else "no action"
        raise ValueError(f"the line has {said}; {_HOW}")
    if line.effective_at is not None and line.activate is None:
        raise ValueError("effective_at goes with activate only; leave it out")
    return line


def _check_each_once(text: bytes) -> None:
    """ValueError if the line or a part of it has a name twice. An event's own names are looked at as ingest does."""
    # Objects become tuples of names with values, arrays stay lists.
    line = json.loads(text.decode(errors="replace"), object_pairs_hook=tuple, parse_int=str, strict=False)
    for part in (line, *(value for name, value in line if name != "event")):
        counted = Counter(name for name, _ in part) if isinstance(part, tuple) else Counter()
        for name in counted:
            if counted[name] > 1:
                raise ValueError(f"{name!r} stands here twice; keep one")


_HOW = f"write at and one of {', '.join(ACTIONS)}"


def _plain(error: str) -> str:
    """msgspec's words with the path as the script's reader knows it."""
    return error.replace("Object", "the object").replace(" - at `$.", " at `").replace(" - at `$`", "")


def _remedy(error: str) -> str:
    unknown = _UNKNOWN.search(error)
    if unknown is None:
        return _HOW
    name, part = unknown.groups()
    return suggest(name, (field.encode_name for field in msgspec.structs.fields(_PARTS.get(part, _Line))))


_UNKNOWN = re.compile(r"unknown field `(.*?)`(?: - at `\$\.(\w+)`)?$")
_PARTS: dict[str | None, type[_Part]] = {
    "merge": Pair,
    "unmerge": Pair,
    "erase": Subject,
    "override": Override,
    "query": Subject,
}


def _action(line: _Line, number: int, at_ms: int, file: Path) -> Action:
    if line.event != _NO_EVENT:
        return Post(bytes(line.event))
    if line.override is not None:
        return Post(_as_event(line.override, number, line.at))
    if line.activate is not None:
        effective_ms = at_ms if line.effective_at is None else _instant(line.effective_at, "effective_at")
        return Activate(_policy(line.activate, file), effective_ms)
    for pair, action in ((line.merge, Merge), (line.unmerge, Unmerge)):
        if pair is not None:
            return action(pair)
    if line.erase is not None:
        return Erase(line.erase.subject)
    assert line.query is not None
    return Query(line.query.subject)


def id_of(line: int) -> str:
    """What is told of an action that has no id of its own is told under this one."""
    return f"line-{line}"


def _as_event(override: Override, number: int, at: str) -> bytes:
    identity = {"id": id_of(number), "source": "script", "type": "override", "time": at}
    return msgspec.json.encode(identity | msgspec.to_builtins(override))


def _instant(text: str, name: str) -> int:
    try:
        return to_ms(asked(text))
    except Refused as refused:
        raise ValueError(f"{name}: {refused.detail}; write it as 2026-03-01T00:00:00.000Z") from None


def _policy(name: str, file: Path) -> Policy:
    beside = file.parent / name
    try:
        return read_policy(beside if beside.exists() else Path(name))
    except PolicyError as error:
        raise ValueError(f"activate: {error}") from None
