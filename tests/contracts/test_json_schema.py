"""The published JSON Schemas say what the decoders do."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, get_args

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from schemas import decisions, events, examples, explanations, identities, json_schema, policy
from services.scorer.domain.policy import PolicyError, compiled
from tests.scorer.domain.full_policy import EXCERPT, FULL

ROOT = Path(__file__).parents[2]
EXAMPLES = [pytest.param(e, id=json_schema.slug(type(e))) for e in examples.CATALOGUE]


UNIONS = (events.Event, decisions.DecisionRecord, identities.Identity)


def validator(record: type[msgspec.Struct]) -> Draft202012Validator:
    return Draft202012Validator(json_schema.document(record), format_checker=Draft202012Validator.FORMAT_CHECKER)


def accepts(record: type[msgspec.Struct], document: Any) -> bool:
    """Whether the reader of its topic takes it: where several types stand on one, their tag is needed."""
    together = next((union for union in UNIONS if record in get_args(union)), record)
    try:
        msgspec.convert(document, together)
    except msgspec.ValidationError:
        return False
    return True


def broken(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The document with each of its fields once left out and once of a type no field has."""
    for field in document:
        yield f"without {field}", {k: v for k, v in document.items() if k != field}
        yield f"{field} an object in a list", {**document, field: [{"no": "such"}]}


@pytest.mark.parametrize("record", json_schema.TYPES, ids=json_schema.slug)
def test_every_document_is_a_schema_whose_references_lead_somewhere(record: type[msgspec.Struct]) -> None:
    document = json_schema.document(record)
    Draft202012Validator.check_schema(document)
    for reference in references(document):
        assert reference.removeprefix("#/$defs/") in document.get("$defs", {})


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_fits_its_schema_and_comes_back_the_same(example: msgspec.Struct) -> None:
    written = msgspec.json.decode(msgspec.json.encode(example))
    validator(type(example)).validate(written)
    assert msgspec.convert(written, type(example)) == example


@pytest.mark.parametrize("example", EXAMPLES)
def test_schema_and_decoder_refuse_the_same(example: msgspec.Struct) -> None:
    check = validator(type(example))
    refused = 0
    for what, document in broken(msgspec.json.decode(msgspec.json.encode(example))):
        assert check.is_valid(document) == accepts(type(example), document), what
        refused += not check.is_valid(document)
    assert refused > len(example.__struct_fields__) / 2


def test_a_time_without_an_offset_is_refused_by_both() -> None:
    event = msgspec.to_builtins(examples.PURCHASE) | {"time": "2026-03-01T12:00:00"}
    assert not validator(type(examples.PURCHASE)).is_valid(event)
    assert not accepts(type(examples.PURCHASE), event)


def test_every_record_that_crosses_a_border_has_an_example() -> None:
    shown = {type(example) for example in examples.CATALOGUE}
    assert set(json_schema.TYPES) - shown == {explanations.Explanation, policy.Policy}


def test_what_a_docstring_says_of_a_field_stands_at_the_field() -> None:
    document = json_schema.document(decisions.Decision)
    assert "when it was committed" in document["properties"]["decided_at"]["description"]
    assert "decided_at" not in document["description"]


class Yaml12(yaml.SafeLoader):
    """As most editors read: of plain words only null, true, false and numbers are none."""

    yaml_implicit_resolvers: ClassVar = {}


for tag, pattern in {
    "null": "(?:~|null|Null|NULL|)$",
    "bool": "(?:true|True|TRUE|false|False|FALSE)$",
    "int": "[-+]?[0-9]+$",
    "float": r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$",
}.items():
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), None)


class Yaml11(yaml.SafeLoader):
    """As older editors read: `10_000` is a number. Days stay texts, as JSON has none."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


POLICIES = [
    *(pytest.param(path.read_text("utf-8"), id=path.name) for path in sorted((ROOT / "policies").glob("*.yaml"))),
    pytest.param(FULL, id="every part that is carried out"),
    pytest.param(EXCERPT, id="every part"),
]


@pytest.mark.parametrize("loader", [yaml.BaseLoader, Yaml12, Yaml11])
@pytest.mark.parametrize("text", POLICIES)
def test_a_policy_fits_the_schema_however_an_editor_reads_it(text: str, loader: type[yaml.BaseLoader]) -> None:
    quoted = re.sub(r"\bon:", '"on":', text) if loader is Yaml11 else text  # there it means true
    validator(policy.Policy).validate(yaml.load(quoted, Loader=loader))


def test_an_editor_would_mark_a_number_that_is_none() -> None:
    spoilt = yaml.load(FULL.replace("weight: 60", "weight: many"), Loader=Yaml12)
    (error,) = validator(policy.Policy).iter_errors(spoilt)
    assert "many" in error.message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("9 working hours", "9 working hour"),
        ("9 working hours", "9 working weeks"),
        ("9 working hours", "0 working days"),
        ("9 working hours", "1000 working days"),
        ("9 working hours", "36h"),
        ("9 working hours", "3mo"),
        ("to: owner", "to: key accounts"),
        ("to: owner", "to: Owner"),
        ("to: owner", "to: team"),
        ("to: owner", "to: team inside sales"),
        ("to: owner", f"to: {'x' * 10_000}"),
        ("alert: true", "alert: false"),
        ("alert: true", "alert: ture"),
        ("webhook: win-back", "webhook: win_back2"),
        ("webhook: win-back", "webhook: win back"),
        ("holdout: 10%", "holdout: 2.5%"),
        ("holdout: 10%", "holdout: 10"),
        ("holdout: 10%", "holdout: 100.5%"),
        ("-{serial:06}", "-{serial}"),
        ("-{serial:06}", "-{serial:013}"),
        ("-{serial:06}", ""),
        ("-{serial:06}", "-{serial:06}" + "x" * 200),
    ],
    ids=lambda text: text[:40],
)
def test_an_editor_marks_what_playbooks_hold_out_and_code_are_refused_for_and_nothing_else(old: str, new: str) -> None:
    text = EXCERPT.replace(old, new)
    assert text != EXCERPT
    try:
        is_policy = compiled(text).name == "retail"
    except PolicyError:
        is_policy = False
    assert validator(policy.Policy).is_valid(yaml.load(text, Loader=Yaml12)) == is_policy


def test_an_editor_would_mark_a_misspelt_field_of_a_policy() -> None:
    tier = {"name": "gold", "wen": "spend > 1"}
    document = {"policy": "p", "currency": "USD", "zone": "UTC", "features": {}, "ladders": {"tier": [tier]}}
    (error,) = validator(policy.Policy).iter_errors(document)
    assert "wen" in error.message


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(reference := document.get("$ref"), str):
            yield reference
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            yield from references(part)
