"""The script of a simulation: what is taken, and what is refused with its line and the remedy."""

import json

import pytest

from services.analyst import script
from tests.analyst.scripts import POLICY, asked, instant, line, write

ISSUE = """
{"at": "2026-03-01T00:00:00.000Z", "event": {"id": "e1", "source": "shop", "type": "purchase", "subject": "c", "time": "2026-03-01T00:00:00.000Z", "amount": "600.00", "currency": "CNY"}}
{"at": "2026-03-10T12:00:00.000Z", "activate": "policy-v2.yaml", "effective_at": "2026-03-10T12:00:00.000Z"}
{"at": "2026-03-11T00:00:00.000Z", "merge": {"from": "b", "into": "a"}}
{"at": "2026-03-11T12:00:00.000Z", "unmerge": {"from": "b", "into": "a"}}
{"at": "2026-03-12T00:00:00.000Z", "erase": {"subject": "a"}}
{"at": "2026-03-13T00:00:00.000Z", "override": {"subject": "c", "dimension": "tier", "value": "key", "owner": "li", "reason": "contract", "until": "2026-06-01T00:00:00.000Z"}}
{"at": "2026-04-04T12:00:00.000Z", "query": {"subject": "c"}}
"""  # noqa: E501


@pytest.fixture
def read(tmp_path):
    """Read a script of this text, with `policy-v2.yaml` beside it."""
    (tmp_path / "policy-v2.yaml").write_text(POLICY)

    def read_text(text: str) -> list[script.Step]:
        (file := tmp_path / "s.ndjson").write_text(text)
        return script.read(file)

    return read_text


def test_every_line_of_the_contract_is_read(read):
    steps = read(ISSUE)
    assert [type(step.action).__name__ for step in steps] == [
        *("Post", "Activate", "Merge", "Unmerge", "Erase", "Post", "Query"),
    ]
    assert [step.line for step in steps] == list(range(2, 9))
    override = json.loads(steps[5].action.raw)
    assert override["type"] == "override"
    assert override["time"] == "2026-03-13T00:00:00.000Z"


def test_a_byte_order_mark_and_blank_lines_are_passed_over(read):
    assert len(read("\ufeff" + json.dumps(asked("3-1")) + "\n\n  \n" + json.dumps(asked("3-2")))) == 2


@pytest.mark.parametrize(
    "event",
    ['{"id": "1", "id": "2"}', '{"a": 1e999, "b": ' + "9" * 5_000 + "}", "[[]]", '{"a": {"b": {}}}'],
)
def test_what_an_event_has_is_not_the_script_s_business(read, event):
    (step,) = read(f'{{"at": "{instant("3-1")}", "event": {event}}}')
    assert step.action.raw.decode() == event


def test_an_activation_without_an_instant_takes_effect_at_once(read):
    (step,) = read(json.dumps(line("3-1", activate="policy-v2.yaml")))
    assert step.action.effective_ms == step.at_ms


def test_a_policy_is_found_from_where_one_stands_too(tmp_path, monkeypatch):
    (tmp_path / "elsewhere.yaml").write_text(POLICY)
    (folder := tmp_path / "scripts").mkdir()
    monkeypatch.chdir(tmp_path)
    (step,) = script.read(write(folder, line("3-1", activate="elsewhere.yaml")))
    assert step.action.policy.name == "sandbox"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ('{"at": "", "event": ' + "[" * 100_000, "not JSON"),
        ("7", "got `int`"),
        ('{"query": {"subject": "c"}}', "`at`"),
        (json.dumps({"at": instant("3-1")}), "no action"),
        (json.dumps(line("3-1", query={"subject": "c"}, erase={"subject": "c"})), "both erase and query"),
        (json.dumps(line("3-1", qeury={"subject": "c"})), "unknown field `qeury`; did you mean 'query'?"),
        (json.dumps(line("3-1", query={"subjekt": "c"})), "`subjekt` at `query`; did you mean 'subject'?"),
        (json.dumps(line("3-1", merge={"a": "b"})), "`a` at `merge`; there are from, into"),
        (json.dumps(asked("3-1"))[:-1] + ', "at": "2026-03-02T00:00:00Z"}', "'at' stands here twice; keep one"),
        (json.dumps(asked("3-1"))[:-2] + ', "subject": "d"}}', "'subject' stands here twice; keep one"),
        (json.dumps(line("3-1", query={})), "subject"),
        (json.dumps(line("3-1", merge={"from": "b", "to": "a"})), "to"),
        (json.dumps(line("3-1", merge={"from": "b"})), "into"),
        (json.dumps(line("3-1", override={"subject": "c", "dimension": "tier"})), "value"),
        (json.dumps(line("3-1", activate="nowhere.yaml")), "activate: nowhere.yaml: "),
        (json.dumps(line("3-1", activate="policy-v2.yaml", effective_at="soon")), "effective_at: 'soon' is not RFC"),
        (json.dumps(asked("3-1") | {"effective_at": instant("3-1")}), "goes with activate only"),
        (json.dumps(asked("3-1") | {"at": "2026-03-01"}), "at: '2026-03-01' is not RFC 3339"),
        (json.dumps(asked("3-1") | {"at": 7}), "at"),
        (json.dumps(asked("3-1") | {"at": "6000-01-01T00:00:00Z"}), "is after the year 5999"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong_with_it(read, text, words):
    with pytest.raises(script.ScriptError) as refused:
        read(json.dumps(asked("2-1")) + "\n" + text)
    said = str(refused.value)
    assert "s.ndjson:2: " in said
    assert words in said
    assert "\n" not in said


def test_the_clock_must_not_go_back(read):
    with pytest.raises(script.ScriptError, match=r"s\.ndjson:2: at 2026-03-01.* is before the line above"):
        read(json.dumps(asked("3-2")) + "\n" + json.dumps(asked("3-1")))


def test_policies_take_effect_in_the_order_of_their_activation(read):
    second = line("3-2", activate="policy-v2.yaml", effective_at=instant("2-1"))
    with pytest.raises(script.ScriptError, match=r"s\.ndjson:2: effective_at is before"):
        read(json.dumps(line("3-1", activate="policy-v2.yaml")) + "\n" + json.dumps(second))


def test_a_script_that_is_not_there(tmp_path):
    with pytest.raises(script.ScriptError, match="cannot be read"):
        script.read(tmp_path / "none.ndjson")
