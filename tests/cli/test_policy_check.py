"""`tierline policy check` and `tierline policy diff`: what they say, to people and to programs, and exit codes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.cli.policy import policy
from tests.scorer.domain.full_policy import EXCERPT, FULL

RETAIL = Path("policies/retail.yaml")


@pytest.fixture
def tierline_policy(tmp_path: Path):
    """Run a subcommand; texts become files. Its exit code and the lines it printed."""

    def run(*args: str) -> tuple[int, list[str]]:
        places = []
        for i, arg in enumerate(args):
            places.append(arg)
            if "\n" in arg:
                file = tmp_path / f"p{i}.yaml"
                file.write_text(arg)
                places[-1] = str(file)
        answer = CliRunner().invoke(policy, places)
        if answer.exception is not None and not isinstance(answer.exception, SystemExit):
            raise answer.exception
        return answer.exit_code, [line.replace(f"{tmp_path}/", "") for line in answer.stdout.splitlines()]

    return run


def test_a_policy_that_can_be_used_is_summed_up(tierline_policy):
    code, lines = tierline_policy("check", FULL)
    assert code == 0
    assert lines[0].startswith("p1.yaml: policy full (")
    assert lines[0].endswith(") can be used; EUR, Europe/Berlin")
    assert "  ladder   tier     gold > basic" in lines
    assert "  churn    churn    alive < 0.3 or quiet >= 180d" in lines
    assert lines[-1] == "  26 features, 23 thresholds, 3 playbooks"


@pytest.mark.parametrize("file", sorted(Path("policies").glob("*.yaml")), ids=lambda file: file.name)
def test_the_policies_that_ship_can_be_used(tierline_policy, file):
    assert tierline_policy("check", str(file))[0] == 0


def test_classes_are_named_in_their_order(tierline_policy):
    _, lines = tierline_policy("check", FULL)
    assert "  class    type     at_risk, high, growth, other" in lines


def test_a_mistake_is_one_line_and_exit_1(tierline_policy):
    code, lines = tierline_policy("check", FULL.replace("rfm.r >= 3", "rfm.r >= 3 and rfm.q > 1"))
    assert code == 1
    assert lines == [
        "p1.yaml:38:61: error: type.growth: 'rfm' has no value 'rfm.q' to compare; write rfm.r, rfm.f, rfm.m"
    ]


def test_all_that_is_provably_false_is_said_at_once_with_the_warnings(tierline_policy):
    text = FULL.replace("rfm.r >= 3", "rfm.r > 5").replace("quality >= 50", "quality >= 500").replace("40%", "41%")
    code, lines = tierline_policy("check", text)
    assert code == 1
    assert [line.split(": ")[1] for line in lines] == ["warning", "error", "error"]
    assert "add up to 101%" in lines[0]
    assert "p1.yaml:38:29: error: type.growth: no one can ever meet" in lines[1]


def test_warnings_alone_are_exit_0(tierline_policy):
    code, lines = tierline_policy("check", FULL.replace("40%", "41%"))
    assert code == 0
    assert lines[0] == "p1.yaml:35:3: warning: the resources of 'type' add up to 101%, not to 100%; change a share"
    assert "can be used" in lines[1]


def test_what_is_not_carried_out_yet_is_warned_of_part_by_part(tierline_policy):
    code, lines = tierline_policy("check", EXCERPT)
    assert code == 0
    assert lines[:10] == [
        "p1.yaml:5:9: warning: USD has no rate before 2026-01-01, so earlier orders count as 0; date the first one "
        "2000-01-01",
        "p1.yaml:49:60: warning: checked, but not carried out yet: `to: owner`; name a queue or a person",
        "p1.yaml:49:71: warning: checked, but not carried out yet: `due: 9 working hours`; write a fixed span, as 2d",
        "p1.yaml:50:90: warning: checked, but not carried out yet: `to: team sales`; name a queue or a person",
        "p1.yaml:50:106: warning: checked, but not carried out yet: `due: 3 working days`; write a fixed span, as 2d",
        "p1.yaml:51:26: warning: checked, but not carried out yet: `alert: true`; leave it out",
        "p1.yaml:51:39: warning: checked, but not carried out yet: `webhook: win-back`; leave it out",
        "p1.yaml:52:1: warning: checked, but not carried out yet: `holdout: 10%`; leave it out",
        "p1.yaml:53:1: warning: checked, but not carried out yet: "
        "`code: {region}-{type}-{channel}-{importance}-{serial:06}`; leave it out",
        "p1.yaml: policy retail (c8064c12a1f41da1) can be tried, but not put in force yet; CNY, Asia/Shanghai",
    ]
    _, (line,) = tierline_policy("check", "--json", EXCERPT)
    told = json.loads(line)
    assert (told["usable"], told["pending"], len(told["findings"])) == (True, 8, 9)
    assert told["findings"][7] == {
        "severity": "warning",
        "place": "p2.yaml:52:1",
        "message": "checked, but not carried out yet: `holdout: 10%`; leave it out",
    }


def test_several_files_are_each_spoken_of_and_one_mistake_is_enough(tierline_policy):
    code, lines = tierline_policy("check", str(RETAIL), FULL.replace("zone: Europe/Berlin", "zone: Berlin"))
    assert code == 1
    assert any("policies/retail.yaml: policy retail" in line for line in lines)
    assert lines[-1].startswith("p2.yaml:3:7: error: ")


def test_json_is_one_object_a_file(tierline_policy):
    code, lines = tierline_policy("check", "--json", FULL, FULL.replace("currency: EUR", "currency: XXX"))
    good, bad = map(json.loads, lines)
    assert code == 1
    assert (good["usable"], good["findings"], good["policy"], good["zone"]) == (True, [], "full", "Europe/Berlin")
    assert good["dimensions"]["type"] == ["at_risk", "high", "growth", "other"]
    assert not bad["usable"]
    assert bad["findings"][0]["severity"] == "error"
    assert bad["findings"][0]["place"] == "p3.yaml:2:11"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_file_that_is_not_there_is_a_misuse_and_silences_no_other(tmp_path, options):
    (wrong := tmp_path / "wrong.yaml").write_text(FULL.replace("zone: Europe/Berlin", "zone: Berlin"))
    files = (tmp_path / "none.yaml", tmp_path, wrong, RETAIL)
    answer = CliRunner().invoke(policy, ["check", *options, *map(str, files)])
    assert answer.exit_code == 2
    assert answer.stderr.splitlines() == [
        f"tierline: policy {tmp_path}/none.yaml cannot be read: No such file or directory",
        f"tierline: policy {tmp_path} cannot be read: Is a directory",
    ]
    if options:
        told = [json.loads(line) for line in answer.stdout.splitlines()]
        assert [(one["file"], one["usable"]) for one in told] == [(str(wrong), False), (str(RETAIL), True)]
    else:
        assert f"{wrong}:3:7: error: " in answer.stdout
        assert f"{RETAIL}: policy retail" in answer.stdout


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_file_that_is_not_utf_8_is_a_mistake_at_its_first_bad_byte_and_silences_no_other(tmp_path, options):
    (latin := tmp_path / "latin.yaml").write_bytes(FULL.replace("full", "Käufer", 1).encode("latin-1"))
    answer = CliRunner().invoke(policy, ["check", *options, str(latin), str(RETAIL)])
    assert (answer.exit_code, answer.stderr) == (1, "")
    place, message = f"{latin}:1:10", "byte 0xe4 is not UTF-8; save it as UTF-8"
    first = answer.stdout.splitlines()[0]
    if options:
        told = {"severity": "error", "place": place, "message": message}
        assert json.loads(first) == {"file": str(latin), "usable": False, "findings": [told]}
    else:
        assert first == f"{place}: error: {message}"
    assert str(RETAIL) in answer.stdout


def test_policies_that_say_the_same_differ_in_nothing(tierline_policy):
    otherwise = "# the same, written otherwise\n" + FULL.replace("1_000", "1000").replace(
        "spend_1y >= 800", "(spend_1y   >= 800.00)"
    ).replace("[click, interaction]", "[interaction, click]")
    assert otherwise.count("1000") > 1
    code, lines = tierline_policy("diff", FULL, otherwise)
    assert code == 0
    assert lines[0].startswith("p2.yaml says the same as p1.yaml (")


def test_what_differs_is_said_by_what_it_means(tierline_policy):
    new = (
        FULL.replace("spend_1y >= 1_000 and", "spend_1y >= 2_000 and")
        .replace("dwell: 1mo}", "dwell: 2mo}")
        .replace("    - {name: basic}", '    - {name: silver, when: "spend_1y >= 100"}\n    - {name: basic}')
        .replace("window: 90d", "window: 60d")
        .replace("  quiet:      {since_last: purchase}\n", "  quiet:      {since_last: interaction}\n")
        .replace("  taken_back: {sum: refund.amount}\n", "")
        .replace("a: 0.793", "a: 0.8")
        .replace("2026-07-01: 0.90, ", "")
        .replace("due: 3d, priority: low", "due: 4d, priority: low")
    )
    code, lines = tierline_policy("diff", FULL, new)
    assert code == 1
    assert lines[1:] == [
        "  ~ rate USD, 2026-07-01: 0.9 -> (none)",
        "  ~ feature calls, window: 90d -> 60d",
        "  ~ feature quiet, since_last: purchase -> interaction",
        "  - feature taken_back: sum: refund.amount",
        "  ~ ladder tier 'gold', when: spend_1y >= 1000 and tenure >= 1y -> spend_1y >= 2000 and tenure >= 1y",
        "  ~ ladder tier 'gold', dwell: 1mo -> 2mo",
        "  + ladder tier 'silver': when: spend_1y >= 100",
        "  ~ calibration bg_nbd, a: 0.793 -> 0.8",
        "  ~ playbook type leaves growth 'Ask', task.due: 3d -> 4d",
    ]


def test_an_order_that_changed_is_a_difference(tierline_policy):
    at_risk = next(line for line in FULL.splitlines(keepends=True) if "{name: at_risk" in line)
    moved = FULL.replace(at_risk, "").replace("    - {name: growth", at_risk + "    - {name: growth")
    _, lines = tierline_policy("diff", FULL, moved)
    assert lines[1:] == ["  ~ class type, order: at_risk, high, growth, other -> high, at_risk, growth, other"]


def test_where_only_playbooks_differ_it_is_said_that_nothing_is_decided_otherwise(tierline_policy):
    _, lines = tierline_policy("diff", FULL, FULL.replace('"Ask"', '"Ask them"'))
    assert "(nothing is decided otherwise)" in lines[0]
    assert [line[:4] for line in lines[1:]] == ["  + ", "  - "]


def test_what_decides_nothing_differs_too(tierline_policy):
    new = (
        EXCERPT.replace("9 working hours", "9h")
        .replace("alert: true, webhook: win-back", "alert: true")
        .replace("10%\ncode", "5%\ncode")
        .replace("-{serial:06}", "{serial}")
    )
    _, lines = tierline_policy("diff", EXCERPT, new)
    assert "(nothing is decided otherwise)" in lines[0]
    assert lines[1:] == [
        "  ~ playbook tier enters key 'Welcome visit', task.due: 9 working hours -> 9h",
        "  + playbook churn raised 'alert': alert: true",
        "  - playbook churn raised 'win-back': alert: true, webhook: win-back",
        "  ~ holdout, share: 10% -> 5%",
        "  ~ code, template: {region}-{type}-{channel}-{importance}-{serial:06} -> "
        "{region}-{type}-{channel}-{importance}{serial}",
    ]


def test_of_playbooks_that_wait_for_the_same_and_do_the_same_each_counts(tierline_policy):
    """They differ in when, or in whom they ask."""
    call = '  - {{on: "tier enters gold", when: "quiet {} 7d", task: {{title: "Call", to: {}, due: 2d}}}}\n'
    both = FULL.replace("playbooks:\n", "playbooks:\n" + call.format("<", "sales") + call.format(">=", "support"))
    one = FULL.replace("playbooks:\n", "playbooks:\n" + call.format(">=", "support"))
    code, lines = tierline_policy("diff", both, one)
    told = "when: quiet < 7d, task.title: Call, task.to: sales, task.due: 2d"
    assert (code, lines[1:]) == (1, [f"  - playbook tier enters gold 'Call' 'when quiet < 7d': {told}"])
    assert tierline_policy("diff", both, both)[0] == 0
    twice = both.replace("playbooks:\n", "playbooks:\n" + call.format("<", "sales"))
    assert [line[:4] for line in tierline_policy("diff", both, twice)[1][1:]] == ["  + "]


def test_spans_are_compared_by_their_length_and_texts_by_their_letters(tierline_policy):
    other = FULL.replace("dwell: 1mo}", "dwell: 24mo}").replace("window: 90d", "window: 2160h")
    _, lines = tierline_policy("diff", FULL, other)
    assert lines[1:] == ["  ~ ladder tier 'gold', dwell: 1mo -> 2y"]
    numbered = [FULL.replace("Ask", title) for title in ("007", "7")]
    assert [line[:4] for line in tierline_policy("diff", *numbered)[1][1:]] == ["  + ", "  - "]


def test_differences_as_json_are_one_object_a_line(tierline_policy):
    code, lines = tierline_policy("diff", "--json", FULL, FULL.replace("top_spend: 8_000", "top_spend: 9_000"))
    assert code == 1
    assert [json.loads(line) for line in lines] == [
        {
            "item": ["calibration", "top_spend"],
            "change": "changed",
            "setting": "value",
            "before": "8000",
            "after": "9000",
        }
    ]


def test_a_policy_that_makes_no_sense_is_not_compared(tierline_policy):
    with pytest.raises(Exception, match="no one can ever meet"):
        tierline_policy("diff", FULL, FULL.replace("rfm.r >= 3", "rfm.r > 5"))
