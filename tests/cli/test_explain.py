"""`tierline explain CUSTOMER`: how it reads, out of a script or from a notifier, and what it says when it can't."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.answers import CustomerView
from schemas.problems import CUSTOMER_NOT_FOUND, INVALID_PARAMETER, Problem, details
from services.analyst import script
from services.analyst.simulate import World
from services.cli.main import main
from services.local.ports import free_port
from services.scorer.domain.policy import parse
from tests.analyst.scripts import POLICY, bought, instant, line, write
from tests.scorer.domain.rules.early import folded_early

SAID = {"subject": "c", "dimension": "tier", "value": "good", "owner": "li", "reason": "contract"}
FROM_THE_START = "yes since 2026-03-01T00:00:00.000Z"
LINES = (
    bought("3-1", "1", "600"),
    bought("3-2", "2", "600"),
    line("3-10", override=SAID | {"until": instant("3-20")}),
)


@pytest.fixture
def explain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `tierline explain`: its exit code, the words of its lines, and stderr."""

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tierline", "explain", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def sandbox(tmp_path) -> tuple[object, ...]:
    return scripted(tmp_path, *LINES)


def scripted(folder: Path, *lines: dict[str, Any]) -> tuple[object, ...]:
    (policy := folder / "policy.yaml").write_text(POLICY)
    return ("--policy", policy, "--script", write(folder, *lines))


def words(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.splitlines() if part]


def test_it_says_where_and_since_when_why_and_what_is_missing(explain, tmp_path):
    code, out, err = explain("c", *scripted(tmp_path, LINES[0]), "--at", instant("3-1 12:00"))
    assert (code, err) == (0, "")
    assert words(out) == [
        "c at 2026-03-01T12:00:00.000Z, by policy sandbox",
        "tier: good, since 2026-03-01T00:00:00.000Z",
        "because ✓ spend_30d >= 500 600.00 CNY, from 1 event",
        "key asks ✗ spend_30d >= 1_000 600.00 CNY, 400.00 CNY short, from 1 event",
        "stage: buying, since 2026-03-01T00:00:00.000Z",
        "because ✓ orders >= 1 1, from 1 event",
        "lapsed asks ✗ quiet >= 20d 12 h, 19 d 12 h short, from 1 event",
        "north: no where everyone begins",
        "✗ region == 'north' unknown",
        "churn: no where everyone begins",
        "✗ quiet >= 25d 12 h, 24 d 12 h short, from 1 event",
        "figures",
        "spend_30d 600.00 CNY from 1 event, the last 2026-03-01T00:00:00.000Z",
        "orders 1 from 1 event, the last 2026-03-01T00:00:00.000Z",
        "quiet 12 h from 1 event, the last 2026-03-01T00:00:00.000Z",
        "region unknown",
        "if nothing else happens",
        "2026-03-21T00:00:00.000Z stage → lapsed",
        "2026-03-26T00:00:00.000Z churn → yes",
        "2026-03-31T00:00:00.000Z tier → regular",
    ]


def test_it_says_when_a_tier_that_is_no_longer_earned_falls(explain, tmp_path):
    #         1,200 spent            600 left              falls (grace 5 d)
    # ────────●──────────────────────╳──────────?──────────▼
    #         Mar 2                  Mar 31     Apr 2      Apr 5
    _, out, _ = explain("c", *scripted(tmp_path, *LINES[:2]), "--at", instant("4-2"))
    said = words(out)
    wanted = "not earned since 2026-03-31T00:00:00.000Z; falls on 2026-04-05T00:00:00.000Z unless earned again"
    assert said[1:5] == [
        "tier: key, since 2026-03-02T00:00:00.000Z",
        wanted,
        "it asks ✗ spend_30d >= 1_000 0.00 CNY, 1,000.00 CNY short",
        "to stay it would take ✗ spend_30d >= 800 0.00 CNY, 800.00 CNY short",
    ]
    assert said[-1] == "2026-04-05T00:00:00.000Z tier → regular"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            "not (orders >= 1 and quiet < 20d)",
            [
                "no where everyone begins",
                "✗ not (orders >= 1 and quiet < 20d)",
                "✓ orders >= 1 1, from 1 event",
                "✓ quiet < 20d 12 h, from 1 event",
            ],
        ),
        (
            "not quiet >= 20d",
            [FROM_THE_START, "✓ not quiet >= 20d", "✗ quiet >= 20d 12 h, 19 d 12 h short, from 1 event"],
        ),
        (
            "orders > 1 or spend_30d > 500",
            [
                FROM_THE_START,
                "✓ orders > 1 or spend_30d > 500",
                "✗ orders > 1 1, 1 short, from 1 event",
                "✓ spend_30d > 500 600.00 CNY, from 1 event",
            ],
        ),
    ],
)
@pytest.mark.parametrize("name", ["north", "churn"])
def test_of_a_segment_and_of_churn_a_rule_of_several_parts_is_told_whole_under_a_mark_of_its_own(
    explain, tmp_path, name, rule, said
):
    options = scripted(tmp_path, LINES[0])
    written = {"north": "region == 'north'", "churn": "quiet >= 25d"}[name]
    (tmp_path / "policy.yaml").write_text(POLICY.replace(written, rule))
    _, out, _ = explain("c", *options, "--at", instant("3-1 12:00"))
    lines = words(out)
    begin = lines.index(f"{name}: {said[0]}")
    assert lines[begin + 1 : begin + len(said)] == said[1:]


def test_of_classes_before_the_present_one_it_says_what_they_ask_and_where_from(explain, tmp_path):
    options = scripted(tmp_path, LINES[0])
    (tmp_path / "policy.yaml").write_text(
        POLICY.replace(
            "    - {name: lapsed,",
            '    - {name: back, when: "quiet < 10d", from: [fading, lapsed]}\n'
            '    - {name: big, when: "spend_30d >= 500 and orders >= 2"}\n'
            "    - {name: lapsed,",
        ).replace("    - {name: buying,", '    - {name: fading, when: "quiet >= 19d"}\n    - {name: buying,')
    )
    code, out, err = explain("c", *options, "--at", instant("3-1 12:00"))
    assert (code, err) == (0, "")
    stage = words(out)[4:11]
    assert stage == [
        "stage: buying, since 2026-03-01T00:00:00.000Z",
        "because ✓ orders >= 1 1, from 1 event",
        "back (only from lapsed, fading) asks ✓ quiet < 10d 12 h, from 1 event",
        "big asks spend_30d >= 500 and orders >= 2",
        "✗ orders >= 2 1, 1 short, from 1 event",
        "lapsed asks ✗ quiet >= 20d 12 h, 19 d 12 h short, from 1 event",
        "fading asks ✗ quiet >= 19d 12 h, 18 d 12 h short, from 1 event",
    ]
    rules = json.loads(explain("c", *options, "--json")[1])["rules"]
    assert {rule["rule"]: rule["only_from"] for rule in rules if "only_from" in rule} == {
        "stage.back": ["lapsed", "fading"]
    }


def test_it_says_who_set_a_position_by_hand_and_what_the_rules_say(explain, sandbox):
    _, out, _ = explain("c", *sandbox)
    assert words(out)[0].startswith("c at 2026-03-10T00:00:00.000Z")
    assert words(out)[2] == "set by li until 2026-03-20T00:00:00.000Z: contract; the rules say key"


def test_as_json_with_everything(explain, sandbox):
    _, out, _ = explain("c", *sandbox, "--json")
    answer = json.loads(out)
    assert answer["subject"] == "c"
    assert answer["standing"]["tier"]["override"]["owner"] == "li"
    assert answer["currency"] == "CNY"


def test_as_json_every_instant_has_milliseconds_as_in_a_simulation(explain, sandbox):
    _, out, _ = explain("c", *sandbox, "--json")
    said = re.findall(r'"(\d{4}-\d\d-\d\dT[^"]*)"', out)
    assert len(said) > 10
    assert [text for text in said if not re.fullmatch(r"[-\d]{10}T[:\d]{8}\.\d{3}Z", text)] == []
    assert json.loads(out)["standing"]["tier"]["override"]["until"] == instant("3-20")


def test_what_of_a_script_was_not_taken_is_told_a_line_each_and_the_rest_explained(explain, tmp_path):
    refused = bought("3-3", "3", "-5"), line("3-4", merge={"from": "c", "into": "c"})
    idle = line("3-5", override=SAID | {"dimension": "teir", "until": instant("3-20")})
    code, out, err = explain("c", *scripted(tmp_path, *LINES[:2], *refused, idle))
    assert code == 0
    assert words(out)[1].startswith("tier: key, since")
    letter, merge, remark = err.splitlines()
    assert letter.startswith("tierline: 2026-03-03T00:00:00.000Z  dead letter 3: negative-amount: ")
    assert (
        merge
        == "tierline: 2026-03-04T00:00:00.000Z  dead letter line-4: merge-cycle: 'c' and 'c' are one customer already"
    )
    assert "masks nothing: the policy has no 'teir'; did you mean 'tier'?" in remark
    assert explain("nobody", *scripted(tmp_path, *LINES[:2], *refused))[2].count("\n") == 3


def test_an_average_is_money_to_people_and_to_programs(explain, tmp_path):
    options = scripted(tmp_path, *LINES[:2], bought("3-3", "3", "500"))
    averages = POLICY.replace("features:", "features:\n  basket: {ratio: [spend_30d, orders]}")
    (tmp_path / "policy.yaml").write_text(averages.replace("region == 'north'", "basket > 1_000.005"))
    said = words(explain("c", *options)[1])
    assert "✗ basket > 1_000.005 566.67 CNY, 433.34 CNY short, from 3 events" in said
    assert "basket 566.67 CNY from 3 events, the last 2026-03-03T00:00:00.000Z" in said
    answer = json.loads(explain("c", *options, "--json")[1])
    assert (answer["features"]["basket"]["value"], answer["features"]["basket"]["unit"]) == ("566.67", "money")
    condition = next(rule for rule in answer["rules"] if rule["rule"] == "north")["conditions"][0]
    assert [condition[name] for name in ("value", "threshold", "short_by")] == ["566.67", "1000.005", "433.34"]


def test_rule_04_what_is_as_of_another_instant_than_asked_says_so_first(explain, tmp_path):
    clicks = []
    for day in range(1, 21):
        one = {"id": f"c{day}", "source": "app", "type": "click", "subject": "c", "time": instant(f"3-{day}")}
        clicks.append(line(f"3-{day}", event=one))
    with folded_early():
        options = scripted(tmp_path, *clicks)
        said = words(explain("c", *options, "--at", instant("3-2"))[1])
        as_of = said[1].split()[2].rstrip(",")
        assert as_of > instant("3-2")
        assert said[0] == f"older events are kept by the hour: this is as of {as_of}, not of {instant('3-2')}"
        assert words(explain("c", *options, "--at", as_of)[1]) == said[1:]
        assert json.loads(explain("c", *options, "--at", instant("3-2"), "--json")[1])["at"] == as_of


def test_of_somebody_who_was_merged_into_another_it_says_so_first(explain, tmp_path):
    options = scripted(tmp_path, LINES[0], line("3-3", merge={"from": "c", "into": "d"}))
    said = words(explain("c", *options)[1])
    assert said[:2] == ["c is d since the merge", "d at 2026-03-03T00:00:00.000Z, by policy sandbox"]
    assert said[1:] == words(explain("d", *options)[1])
    assert json.loads(explain("c", *options, "--json")[1])["subject"] == "d"
    assert explain("d", *options, "--at", instant("2-28"))[0] == 1, "nothing of either by then"


def test_of_somebody_unknown_one_line(explain, sandbox):
    code, out, err = explain("nobody", *sandbox)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "nothing is known of customer 'nobody'" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--at", "yesterday"), "--at: 'yesterday' is not RFC 3339"),
        (("--at", "7000-01-01T00:00:00Z"), "--at: '7000-01-01T00:00:00Z' is after the year 5999"),
        (("--script", "s.ndjson"), "go together"),
        (("--script", "s.ndjson", "--policy", "p.yaml", "--notifier", "http://x"), "not both"),
        (("--script", "s.ndjson", "--policy", "none.yaml"), "none.yaml"),
    ],
)
def test_misuse_is_one_line(explain, options, words):
    code, out, err = explain("c", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


# -- from a notifier


class Desk:
    """Answers like the notifier, with what it is told to."""

    status, body = 200, b""
    asked: str

    @pytest.fixture
    def at(self) -> Iterator[str]:
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                desk.asked = self.path
                self.send_response(desk.status)
                self.end_headers()
                self.wfile.write(desk.body)

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()
        thread.join()


class TestNotifier(Desk):
    def refuses(self, problem: Problem, detail: str) -> None:
        self.status, self.body = problem.status, msgspec.json.encode(details(problem, detail))

    def test_its_answer_is_told_like_a_scripts(self, explain, at, sandbox, tmp_path):
        world = World(parse(POLICY))
        steps = script.read(Path(str(sandbox[3])))
        list(world.run(steps))
        known = world.explain("a b", steps[-1].at_ms) or world.explain("c", steps[-1].at_ms)
        view = {"subject": "a b", "tier": "good", "last_decision": None} | msgspec.to_builtins(known)
        self.body = msgspec.json.encode(msgspec.convert(view, CustomerView))
        code, out, err = explain("a b", "--notifier", at, "--at", instant("3-10"))
        assert (code, err) == (0, "")
        assert self.asked == "/v1/customers/a%20b?at=2026-03-10T00%3A00%3A00.000Z"
        _, as_script, _ = explain("c", *sandbox)
        assert words(out)[1:] == words(as_script)[1:]
        code, out, _ = explain("a b", "--notifier", at, "--json")
        answer = json.loads(out)
        assert answer["last_decision"] is None
        assert (answer["at"], answer["currency"]) == (instant("3-10"), "CNY")

    def test_its_address_comes_from_the_settings(self, explain, at, monkeypatch):
        monkeypatch.setenv("TIERLINE_NOTIFIER_PORT", at.rpartition(":")[2])
        self.refuses(CUSTOMER_NOT_FOUND, "no event of customer 'c' has been seen")
        assert explain("c")[0] == 1
        assert self.asked == "/v1/customers/c"

    @pytest.mark.parametrize(("customer", "asked"), [(".", "%2E"), ("..", "%2E%2E"), ("a/../b", "a%2F..%2Fb")])
    def test_an_id_of_dots_is_no_step_in_a_path(self, explain, at, customer, asked):
        self.refuses(CUSTOMER_NOT_FOUND, "no event of this customer has been seen")
        assert explain(customer, "--notifier", at)[0] == 1
        assert self.asked == f"/v1/customers/{asked}"

    def test_an_unknown_customer_is_exit_code_1(self, explain, at):
        self.refuses(CUSTOMER_NOT_FOUND, "no event of customer 'c' has been seen")
        code, out, err = explain("c", "--notifier", at)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "no event of customer 'c' has been seen" in err

    def test_what_it_refuses_as_misuse_is_exit_code_2(self, explain, at):
        self.refuses(INVALID_PARAMETER, "'2300-01-01T00:00:00Z' is not as it wants it")
        assert explain("c", "--notifier", at, "--at", "2300-01-01T00:00:00Z")[0] == 2

    def test_somebody_merged_into_another_is_told_of_as_that_one(self, explain, at, sandbox):
        code, out, _ = explain("c", *sandbox, "--json")
        self.body = msgspec.json.encode(json.loads(out) | {"subject": "d", "tier": "good", "last_decision": None})
        code, out, _ = explain("c", "--notifier", at)
        assert (code, out.splitlines()[0]) == (0, "c is d since the merge")

    def test_somebody_else_at_the_address(self, explain, at):
        self.body = b"<html>"
        code, _, err = explain("c", "--notifier", at)
        assert (code, err.count("\n")) == (1, 1)
        assert "not as a notifier does" in err


def test_nobody_at_the_address(explain):
    code, out, err = explain("c", "--notifier", f"http://127.0.0.1:{free_port()}")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "does not answer" in err
