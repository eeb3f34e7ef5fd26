"""docs/semantics.md: every rule has its section, its time line and its tests."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parents[3] / "docs" / "semantics.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\d+)\. (.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL))


def test_the_fifteen_rules_are_there_in_order():
    assert [int(number) for number in SECTIONS] == list(range(1, 16))


@pytest.mark.parametrize("number", range(1, 16))
def test_a_rule_has_a_time_line_and_tests_with_its_number(number):
    assert "─────●" in SECTIONS[str(number)] or "─────▪" in SECTIONS[str(number)]
    files = list(HERE.glob(f"test_rule_{number:02}_*.py"))
    assert files
    for file in files:
        names = re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
        assert names
        assert all(name.startswith(f"test_rule_{number:02}_") for name in names)


def test_the_links_within_the_page_lead_somewhere():
    titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    links = re.findall(r"\]\(#([^)]*)\)", PAGE)
    assert len(links) >= 15
    assert set(links) <= anchors
