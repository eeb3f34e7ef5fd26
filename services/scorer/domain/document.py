"""A policy's YAML text into the document's types (`schemas/policy.py`), every refusal with its line and column.

Scalars are taken as they are written (`no` stays a name, `10_000` a number of ours), so YAML's own guesses never
change a rule. Keys may not repeat; aliases, anchors, tags and merge keys are refused.
"""

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import yaml
from msgspec import inspect

from schemas import policy as shape
from services.scorer.domain.places import Place, PolicyError, one_line

__all__ = ["Document", "Place", "PolicyError", "read", "suggest"]

LARGEST = 100_000
DEEPEST = 10

Path = tuple[str | int, ...]


class Document:
    """The policy's types beside the places they were read from."""

    def __init__(self, policy: shape.Policy, values: Mapping[Path, Place], keys: Mapping[Path, Place]) -> None:
        self.policy = policy
        self._values, self._keys = values, keys

    def place(self, *path: str | int) -> Place:
        """Of the value."""
        return self._values[path]

    def key(self, *path: str | int) -> Place:
        """Of the name before the value."""
        return self._keys[path]


def read(text: str, source: str) -> Document:
    """The document of a YAML text; PolicyError if its shape is not a policy's."""
    if len(text) > LARGEST:
        raise PolicyError(f"{source}:1:1: the policy is larger than {LARGEST} characters")
    root = _composed(text, source)
    if root is None:
        raise PolicyError(f"{source}:1:1: the policy is empty")
    reader = _Reader(source, text)
    policy = reader.value((), root, inspect.type_info(shape.Policy), "the policy")
    return Document(policy, reader.values, reader.keys)


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?`, or what there is."""
    known = sorted(known)
    if near := nearest(name, known):
        return near
    return f"there are {', '.join(known)}" if known else "there are none"


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """`did you mean ...?`, large and small letters being alike; empty if nothing is near."""
    alike = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), alike, n=1, cutoff=likeness)
    return f"did you mean {alike[close[0]]!r}?" if close else ""


class _NotRead(yaml.MarkedYAMLError):
    """YAML, but none of a policy."""


class _Loader(yaml.SafeLoader):
    """Composes nodes and nothing else; what a policy has no need of is refused before it costs anything."""

    deep = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse(event, "YAML anchors and aliases (&name, *name) are not read; write the part out")
        if event.tag is not None:
            self._refuse(event, f"YAML tags ({event.tag[:40]}) are not read; leave it out")
        self.deep += 1
        if self.deep > DEEPEST:
            self._refuse(event, f"nested deeper than the {DEEPEST} levels a policy can have")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.deep -= 1
        return node

    @staticmethod
    def _refuse(event: yaml.Event, message: str) -> NoReturn:
        raise _NotRead(problem=message, problem_mark=event.start_mark)  # type: ignore[arg-type]


def _composed(text: str, source: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
            return node
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        prefix = "" if isinstance(error, _NotRead) else "not YAML: "
        said = str(error.problem or error.context)
        if said.startswith("found character '\\t'"):
            said = "a tab stands here; use spaces"
        raise PolicyError(f"{source}:{where}: {prefix}{one_line(said)}") from error
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        raise PolicyError(f"{source}:{line}:{column}: not YAML: {one_line(error.reason)}") from error
    except (ValueError, OverflowError) as error:  # an escape beyond Unicode
        raise PolicyError(f"{source}:1:1: not YAML: {one_line(str(error))}") from error


class _Reader:
    """Walks the types of the shape beside the YAML's nodes and keeps where everything stood."""

    def __init__(self, source: str, text: str) -> None:
        self._source, self._text = source, text
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}

    def value(self, path: Path, node: yaml.Node, wanted: inspect.Type, what: str) -> Any:
        """What the node says, as `wanted`."""
        self.values[path] = Place(self._source, self._text, node)
        if isinstance(wanted, inspect.UnionType):
            wanted = _fitting(wanted, isinstance(node, yaml.SequenceNode))
        hint = ""
        if isinstance(wanted, inspect.Metadata):
            hint, wanted = str((wanted.extra_json_schema or {}).get("description", "")), wanted.type
        match wanted:
            case inspect.StructType():
                return self._struct(path, node, wanted, what)
            case inspect.DictType():
                return {
                    self._scalar(key, name, wanted.key_type, f"a name in {what}"): self.value(
                        (*path, name), part, wanted.value_type, f"{what} {name!r}"
                    )
                    for name, key, part in self._pairs(path, node, what)
                }
            case inspect.ListType():
                return [
                    self.value((*path, i), part, wanted.item_type, f"{what} {i + 1}")
                    for i, part in enumerate(self._sequence(path, node, what))
                ]
        if not isinstance(node, yaml.ScalarNode):
            self.values[path].refuse(f"{what}: expected plain text or a number here{f', {hint}' if hint else ''}")
        return self._scalar(self.values[path], str(node.value), wanted, what, hint)

    def _struct(self, path: Path, node: yaml.Node, wanted: inspect.StructType, what: str) -> Any:
        known = {field.encode_name: field for field in wanted.fields}
        found: dict[str, Any] = {}
        for name, key, part in self._pairs(path, node, what):
            if name not in known:
                key.refuse(f"{what} has no {name!r}; {suggest(name, known)}")
            found[known[name].name] = self.value((*path, name), part, known[name].type, _called(what, name))
        for field in wanted.fields:
            if field.required and field.name not in found:
                self.values[path].refuse(f"{what} lacks {field.encode_name!r}")
        return wanted.cls(**found)

    def _pairs(self, path: Path, node: yaml.Node, what: str) -> Iterator[tuple[str, Place, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self.values[path].refuse(f"{what}: expected names with values, as `name: value`")
        seen = set()
        for key, part in node.value:
            place = Place(self._source, self._text, key)
            if not isinstance(key, yaml.ScalarNode):
                place.refuse(f"{what}: a name is plain text")
            name = str(key.value)
            if name == "<<":
                place.refuse("YAML merge keys (<<) are not read; write the part out")
            if name in seen:
                place.refuse(f"{name!r} stands here twice; keep one")
            seen.add(name)
            self.keys[(*path, name)] = place
            yield name, place, part

    def _sequence(self, path: Path, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            self.values[path].refuse(f"{what}: expected a list, as `- ...` lines or [a, b]")
        items: list[yaml.Node] = node.value
        return items

    @staticmethod
    def _scalar(place: Place, text: str, wanted: inspect.Type, what: str, hint: str = "") -> str:
        if isinstance(wanted, inspect.Metadata):
            hint, wanted = str((wanted.extra_json_schema or {}).get("description", "")), wanted.type
        if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in text):
            place.refuse(f"{what}: control characters are not read; leave them out")
        match wanted:
            case inspect.LiteralType(values=values) if text not in values:
                place.refuse(f"{what}: {_shown(text)} cannot stand here; {suggest(text, map(str, values))}")
            case inspect.StrType(max_length=longest) if longest is not None and len(text) > longest:
                place.refuse(f"{what} is longer than {longest} characters")
            case inspect.StrType(pattern=pattern) if pattern is not None and not re.fullmatch(pattern, text):
                place.refuse(f"{what}: {_shown(text)} cannot stand here; wanted: {hint}")
        return text


def _fitting(union: inspect.UnionType, sequence: bool) -> inspect.Type:
    """The one of the union's types that a sequence, or anything else, may be."""
    types: Collection[inspect.Type] = [t for t in union.types if not isinstance(t, inspect.NoneType)]
    lists = [t for t in types if isinstance(t, inspect.ListType)]
    others = [t for t in types if not isinstance(t, inspect.ListType)]
    return (lists if sequence and lists else others or lists)[0]


def _called(what: str, name: str) -> str:
    return name if what == "the policy" else f"{what}, {name}"


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:60]) + "..."
