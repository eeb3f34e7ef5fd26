"""`tierline simulate`: what it prints, and how it answers what it can't use."""

import json
from pathlib import Path

import pytest

from services.cli.main import main
from tests.analyst.scripts import POLICY, asked, bought, decoded, instant, line, moves, write
from tests.scorer.domain.full_policy import EXCERPT


@pytest.fixture
def simulate(tmp_path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]):
    """Run `tierline simulate` on these lines: its exit code, stdout and stderr."""
    (policy := tmp_path / "policy.yaml").write_text(POLICY)

    def run(file: Path, *options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(
            "sys.argv", ["tierline", "simulate", "--policy", str(policy), "--script", str(file), *options]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfdbinary.readouterr()
        return ended.value.code or 0, said.out.decode(), said.err.decode()

    return run


def test_as_json_one_object_a_line(simulate, tmp_path):
    file = write(tmp_path, bought("3-1", "1", "600"), bought("3-2", "2", "-1"), asked("4-1"))
    code, out, err = simulate(file, "--json")
    assert (code, err) == (0, "")
    happened = decoded(out.splitlines())
    assert [kind for kind, _ in happened[-5:]] == ["answer", "path", "path", "path", "path"]
    assert moves(happened) == ["c regular>good 03-01 event", "c good>regular 03-31 time"]
    assert json.loads(out.splitlines()[0])["transition"] == {
        "subject": "c",
        "dimension": "tier",
        "before": "regular",
        "after": "good",
        "effective_at": instant("3-1"),
        "decided_at": instant("3-1"),
        "cause": "event",
        "retracts": [],
    }


def test_for_people_each_move_with_why_and_what_comes_next(simulate, tmp_path):
    refused = bought("3-2", "2", "-1")
    late = bought("4-3", "0", "500", time=instant("3-20"))
    file = write(tmp_path, bought("3-1", "1", "600"), refused, asked("4-2"), asked("4-2", "nobody"), late)
    code, out, err = simulate(file)
    assert (code, err) == (0, "")
    lines = [" ".join(text.split()) for text in out.splitlines()]
    for wanted in (
        "2026-03-01T00:00:00.000Z c tier regular → good purchase 1",
        "✓ spend_30d >= 500 600.00 CNY, from 1 event",
        "next: regular at 2026-03-31T00:00:00.000Z if nothing else happens",
        "2026-03-02T00:00:00.000Z dead letter 2: negative-amount: the amount is '-1'",
        "2026-03-31T00:00:00.000Z c tier good → regular time passed",
        "✗ spend_30d >= 500 0.00 CNY, 500.00 CNY short",
        "2026-04-02T00:00:00.000Z nobody? nothing is known of them",
        "quiet 32 d",
        "retracts regular since 2026-03-31T00:00:00.000Z",
        "c tier good 2026-03-01T00:00:00.000Z, key 2026-03-20T00:00:00.000Z",
    ):
        assert wanted in lines, out
    causes = {text.index(w) for text in out.splitlines() for w in ("time passed", "purchase 1") if w in text}
    assert len(causes) == 1  # aligned


def test_an_erasure_is_told_as_one_and_not_as_somebody_s_override(simulate, tmp_path):
    said = {"subject": "c", "dimension": "tier", "value": "key", "owner": "li", "reason": "why"}
    by_hand = line("3-2", override=said | {"until": instant("5-1")})
    file = write(tmp_path, bought("3-1", "1", "600"), by_hand, line("3-3", erase={"subject": "c"}), asked("3-4"))
    code, out, err = simulate(file)
    lines = [" ".join(text.split()) for text in out.splitlines()]
    assert (code, err) == (0, "")
    assert "2026-03-02T00:00:00.000Z c tier good → key by hand: override line-2" in lines
    assert "2026-03-03T00:00:00.000Z c tier key → regular erased" in lines
    assert "2026-03-04T00:00:00.000Z c? nothing is known of them" in lines
    _, out, _ = simulate(file, "--json")
    assert [text for text in moves(decoded(out.splitlines())) if "03-03" in text] == ["c key>regular 03-03 manual"]


def test_averages_and_what_they_are_compared_with_are_told_in_the_currency(simulate, tmp_path):
    ratio = POLICY.replace("features:", "features:\n  aov: {ratio: [spend_30d, orders]}")
    ratio = ratio.replace("segments:", 'segments:\n  big: "aov >= 400 or aov < 355"')
    file = write(tmp_path, bought("3-1", "1", "360"), bought("3-2", "2", "349.99"), asked("3-3"))
    (tmp_path / "policy.yaml").write_text(ratio)
    lines = [" ".join(text.split()) for text in simulate(file)[1].splitlines()]
    short = "✗ aov >= 400 355.00 CNY, 45.01 CNY short, from 2 events"  # 354.995, to the even cent
    assert lines[lines.index(short) - 1] == "the rule: aov >= 400 or aov < 355"
    assert "aov 355.00 CNY" in lines


def test_features_named_like_what_else_is_told_take_nobodys_place(simulate, tmp_path):
    named_alike = POLICY.replace("orders:", "tier:").replace("orders >= 1", "tier >= 1").replace("quiet", "churn")
    file = write(tmp_path, bought("3-1", "1", "600"), asked("3-2"))
    (tmp_path / "policy.yaml").write_text(named_alike)
    code, out, _ = simulate(file)
    assert code == 0
    lines = [" ".join(text.split()) for text in out.splitlines()]
    assert {"tier good", "tier 1", "churn not raised", "churn 1 d"} <= set(lines), out


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_override_that_masks_nothing_is_remarked_with_what_may_have_been_meant(simulate, tmp_path, options):
    def by_hand(day: str, dimension: str, value: str | bool | None) -> dict[str, object]:
        said = {"subject": "c", "dimension": dimension, "value": value, "owner": "li", "reason": "why"}
        return line(day, override={**said, "until": instant("5-1")})

    lines = [
        by_hand("3-2", "north", "true"),
        by_hand("3-2", "tier", True),
        by_hand("3-2", "teir", "good"),
        by_hand("3-3", "tier", "goood"),
        by_hand("3-4", "tier", "good"),
    ]
    code, out, err = simulate(write(tmp_path, bought("3-1", "1", "1"), *lines, by_hand("3-5", "tier", None)), *options)
    assert code == 0
    no_truth, no_name, wrong_name, wrong_value = err.splitlines()
    assert no_truth.endswith("masks nothing: 'north' is true or false, not the text 'true'; write it without quotes")
    assert no_name.endswith("masks nothing: 'tier' is never true; there are good, key, regular")
    assert wrong_name.endswith("masks nothing: the policy has no 'teir'; did you mean 'tier'?")
    assert wrong_value.endswith("masks nothing: 'tier' is never 'goood'; did you mean 'good'?")
    assert out


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_bad_line_is_said_before_anything_is_played(simulate, tmp_path, options):
    code, out, err = simulate(write(tmp_path, bought("3-1", "1", "600"), line("3-2")), *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "script.ndjson:2: the line has no action; write at and one of event, activate, " in err


def test_a_policy_of_which_a_part_is_not_carried_out_yet_is_played(simulate, tmp_path):
    file = write(tmp_path, bought("3-1", "1", "1000000"), asked("3-2"))
    (tmp_path / "policy.yaml").write_text(EXCERPT)
    code, out, err = simulate(file, "--json")
    assert (code, err) == (0, "")
    assert "c regular>key 03-01 event" in moves(decoded(out.splitlines()))


def test_a_policy_that_cannot_be_used(simulate, tmp_path):
    file = write(tmp_path, asked("3-1"))
    (tmp_path / "policy.yaml").write_text("policy: broken")
    code, out, err = simulate(file)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "policy.yaml" in err


def test_a_script_without_lines_says_that_nothing_happened(simulate, tmp_path):
    assert simulate(write(tmp_path), "--json") == (0, "", "")
    assert simulate(write(tmp_path)) == (0, "nothing happened\n", "")
