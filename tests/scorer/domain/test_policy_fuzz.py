"""Whatever a policy's text is: it is a policy, or one line says where it is not."""

import re
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.scorer.domain.policy import PolicyError, examined
from tests.scorer.domain.full_policy import EXCERPT, FULL

RETAIL = (Path(__file__).parents[3] / "policies" / "retail.yaml").read_text("utf-8")
REFUSAL = re.compile(r"p\.yaml:[0-9]+:[0-9]+: \S[^\n]*")


def policy_or_one_line(text: str) -> None:
    try:
        _, findings = examined(text, "p.yaml")
        said = [str(finding) for finding in findings]
    except PolicyError as error:
        said = [str(error)]
    for line in said:
        assert REFUSAL.fullmatch(line), line
        row, column = map(int, line.split(":")[1:3])
        assert row <= len(re.findall("[\n\r\x85\u2028\u2029]", text)) + 1
        assert column <= len(text) + 1


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(noise):
    policy_or_one_line(noise.decode("latin-1"))


@settings(deadline=None)
@given(st.text(max_size=200))
@example('policy: "\\UFFFFFFFF"')
@example('policy: "\\xzz"')
@example("%YAML 9.9\n---\na: b\n")
@example("a: b\n---\nc: d\n")
@example("\ufeffpolicy: x")
@example("policy: \udc80")
def test_any_text(text):
    policy_or_one_line(text)


MARKS = [*"{}[]|>\\-?:#'", '"', "<<", "*a", "&a", "!!int", "999999999999999999999", "0", "-1", "1e9", "ü"]
PIECES = st.sampled_from([*sorted({*re.findall(r"\w+|\S", FULL + EXCERPT)}), *MARKS, "\n", "  ", ": ", "\t"])


@st.composite
def spoilt(draw, text):
    """The text with a few places overwritten, cut out, doubled or put elsewhere."""
    for _ in range(draw(st.integers(1, 4))):
        tokens = re.findall(r"\w+|\s+|[^\w\s]", text)
        place = draw(st.integers(0, len(tokens) - 1))
        length = draw(st.integers(0, 4))
        part = tokens[place : place + length]
        match draw(st.sampled_from(["over", "out", "double", "move", "line"])):
            case "over":
                tokens[place : place + length] = draw(st.lists(PIECES, max_size=3))
            case "out":
                del tokens[place : place + length]
            case "double":
                tokens[place:place] = part
            case "move":
                del tokens[place : place + length]
                there = draw(st.integers(0, len(tokens)))
                tokens[there:there] = part
            case "line":
                lines = "".join(tokens).splitlines(keepends=True)
                there = draw(st.integers(0, len(lines)))
                lines[there:there] = [lines.pop(draw(st.integers(0, len(lines) - 1)))]
                tokens = lines
        text = "".join(tokens) or "x"
    return text


@settings(max_examples=300, deadline=None)
@given(spoilt(RETAIL))
def test_the_retail_policy_spoilt(text):
    policy_or_one_line(text)


@settings(max_examples=300, deadline=None)
@given(spoilt(FULL))
def test_a_policy_with_every_part_spoilt(text):
    policy_or_one_line(text)


@settings(max_examples=300, deadline=None)
@given(spoilt(EXCERPT))
def test_a_policy_with_what_is_not_carried_out_yet_spoilt(text):
    policy_or_one_line(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*"{}:-09 \t", "{region}", "{serial:06}", "serial", "tpye", "\\n", "\n", "ü"])))
def test_any_code(parts):
    policy_or_one_line(EXCERPT.replace("{region}-{type}-{channel}-{importance}-{serial:06}", "".join(parts)))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*"019_ -%.{", "working", " hours", " days", "team ", "owner", "h", "mo"]), max_size=8))
def test_any_due_assignee_share_and_webhook(parts):
    text = "".join(parts)
    for old in ("9 working hours", "team sales", "10%", "win-back"):
        policy_or_one_line(EXCERPT.replace(old, text))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="spend quiet.alive'\"()[]<>=!andornt1230_dy,%-", max_size=40))
def test_any_condition(text):
    policy_or_one_line(FULL.replace("alive < 0.3 or quiet >= 180d", text.replace("\\", "").replace('"', '\\"')))
