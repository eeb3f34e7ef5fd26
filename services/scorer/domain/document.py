"""A policy's YAML text into the document's types, every refusal with its line and column.

Scalars are taken as they are written (`no` stays a name, `10_000` a number of ours), so YAML's own guesses never
change a rule. Keys may not repeat; aliases and tags are refused.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import msgspec
import yaml

from schemas import policy as shape

LARGEST = 1_000_000
NOT_BUILT = {
    "policy": {"rates", "attributes", "classes", "scorecards", "calibration", "holdout", "code"},
    "feature": {
        "where", "mean", "ratio", "overdue", "trend", "recent", "base", "score", "half_life", "p_alive", "rfm",
        "expected", "value", "stage",
    },
    "tier": {"stay", "grace", "dwell"},
    "playbook": {"alert", "webhook"},
    "task": set(),
    "churn": set(),
}  # fmt: skip


class PolicyError(Exception):
    """One line: file, line, column, what is wrong and what to do."""


class Place:
    """Where something stands in the policy's text, to refuse it there."""

    def __init__(self, source: str, node: yaml.Node) -> None:
        self.source, self.node = source, node

    def refuse(self, message: str, *, offset: int = 0) -> NoReturn:
        """`offset` characters into the scalar; line and column count from 1."""
        mark = self.node.start_mark
        column = mark.column + 1 + offset
        if isinstance(self.node, yaml.ScalarNode) and self.node.style in ("'", '"'):
            column += 1
        raise PolicyError(f"{self.source}:{mark.line + 1}:{column}: {message}")


class Document:
    """The policy's types beside the places they were read from."""

    def __init__(self, policy: shape.Policy, places: Mapping[tuple[str | int, ...], Place]) -> None:
        self.policy = policy
        self._places = places

    def place(self, *path: str | int) -> Place:
        return self._places[path]


def read(text: str, source: str) -> Document:
    """The document of a YAML text; PolicyError if its shape is not a policy's."""
    if len(text) > LARGEST:
        raise PolicyError(f"{source}:1:1: the policy is larger than {LARGEST} characters")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise PolicyError(f"{source}:1:1: YAML aliases (*name) are not read; write the part out")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        raise PolicyError(f"{source}:{where}: not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicyError(f"{source}:1:1: not YAML: {str(error).splitlines()[0]}") from error
    if root is None:
        raise PolicyError(f"{source}:1:1: the policy is empty")
    return _Reader(source).document(root)


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._places: dict[tuple[str | int, ...], Place] = {}

    def document(self, root: yaml.Node) -> Document:
        self._places[()] = Place(self._source, root)
        parts = self._mapping((), root, "the policy", shape.Policy, "policy")
        fields: dict[str, Any] = {
            name: self._scalar((name,), parts[name]) for name in ("policy", "currency", "zone") if name in parts
        }
        if "features" in parts:
            fields["features"] = {
                name: self._struct(("features", name), node, f"feature {name!r}", shape.Feature, "feature")
                for name, node in self._named(("features",), parts["features"], "features")
            }
        if "ladders" in parts:
            fields["ladders"] = {
                name: [
                    self._struct(("ladders", name, i), tier, "a tier", shape.Tier, "tier")
                    for i, tier in enumerate(self._sequence(("ladders", name), node, f"ladder {name!r}"))
                ]
                for name, node in self._named(("ladders",), parts["ladders"], "ladders")
            }
        if "segments" in parts:
            fields["segments"] = {
                name: self._scalar(("segments", name), node)
                for name, node in self._named(("segments",), parts["segments"], "segments")
            }
        if "churn" in parts:
            fields["churn"] = self._struct(("churn",), parts["churn"], "churn", shape.Churn, "churn")
        if "playbooks" in parts:
            fields["playbooks"] = [
                self._playbook(("playbooks", i), node)
                for i, node in enumerate(self._sequence(("playbooks",), parts["playbooks"], "playbooks"))
            ]
        return Document(self._convert((), fields, shape.Policy, "the policy"), self._places)

    def _playbook(self, path: tuple[str | int, ...], node: yaml.Node) -> shape.Playbook:
        parts = self._mapping(path, node, "a playbook", shape.Playbook, "playbook")
        fields: dict[str, Any] = {n: self._scalar((*path, n), parts[n]) for n in ("on", "when") if n in parts}
        if "task" in parts:
            fields["task"] = self._struct((*path, "task"), parts["task"], "a task", shape.Task, "task")
        playbook: shape.Playbook = self._convert(path, fields, shape.Playbook, "a playbook")
        return playbook

    def _struct(self, path: tuple[str | int, ...], node: yaml.Node, what: str, kind: type[Any], level: str) -> Any:
        """A flat mapping of scalars and lists of scalars."""
        parts = self._mapping(path, node, what, kind, level)
        fields = {
            name: [self._scalar((*path, name, i), item) for i, item in enumerate(part.value)]
            if isinstance(part, yaml.SequenceNode)
            else self._scalar((*path, name), part)
            for name, part in parts.items()
        }
        return self._convert(path, fields, kind, what)

    def _convert(self, path: tuple[str | int, ...], fields: Mapping[str, Any], kind: type[Any], what: str) -> Any:
        try:
            return msgspec.convert(fields, kind, strict=False)
        except msgspec.ValidationError as error:
            message, _, at = str(error).partition(" - at `$")
            name = at.lstrip(".").split("`")[0].split("[")[0].split(".")[0]
            place = self._places.get((*path, name), self._places[path])
            place.refuse(f"{what}{f', {name}' if name else ''}: {message}")

    def _mapping(
        self, path: tuple[str | int, ...], node: yaml.Node, what: str, kind: type[Any], level: str
    ) -> dict[str, yaml.Node]:
        known = [field.encode_name for field in msgspec.structs.fields(kind)]
        parts: dict[str, yaml.Node] = {}
        for name, key, part in self._pairs(path, node, what):
            if name in NOT_BUILT[level]:
                key.refuse(f"{name!r} is not built yet; leave it out")
            if name not in known:
                key.refuse(f"{what} has no {name!r}; {suggest(name, known)}")
            self._places[(*path, name)] = Place(self._source, part)
            parts[name] = part
        for field in msgspec.structs.fields(kind):
            if field.required and field.encode_name not in parts:
                self._places[path].refuse(f"{what} lacks {field.encode_name!r}")
        return parts

    def _named(self, path: tuple[str | int, ...], node: yaml.Node, what: str) -> Iterable[tuple[str, yaml.Node]]:
        for name, _, part in self._pairs(path, node, what):
            self._places[(*path, name)] = Place(self._source, part)
            yield name, part

    def _pairs(self, path: tuple[str | int, ...], node: yaml.Node, what: str) -> Iterable[tuple[str, Place, yaml.Node]]:
        self._places[path] = Place(self._source, node)
        if not isinstance(node, yaml.MappingNode):
            self._places[path].refuse(f"{what}: expected names with values, as `name: value`")
        seen = set()
        for key, part in node.value:
            place = Place(self._source, key)
            if not isinstance(key, yaml.ScalarNode):
                place.refuse(f"{what}: a name must be plain text")
            name = str(key.value)
            if name in seen:
                place.refuse(f"{what}: {name!r} stands here twice")
            seen.add(name)
            yield name, place, part

    def _sequence(self, path: tuple[str | int, ...], node: yaml.Node, what: str) -> list[yaml.Node]:
        self._places[path] = Place(self._source, node)
        if not isinstance(node, yaml.SequenceNode):
            self._places[path].refuse(f"{what}: expected a list, one `- ...` an item")
        for i, item in enumerate(node.value):
            self._places[(*path, i)] = Place(self._source, item)
        return list(node.value)

    def _scalar(self, path: tuple[str | int, ...], node: yaml.Node) -> str:
        self._places[path] = Place(self._source, node)
        if not isinstance(node, yaml.ScalarNode):
            self._places[path].refuse("expected plain text or a number here")
        return str(node.value)


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?`, or what there is."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
