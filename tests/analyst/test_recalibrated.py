"""Another calibration in a policy's text: its own section goes, nothing else."""

import pytest

from schemas.policy import BgNbd, Calibration
from services.analyst.recalibrated import completed, recalibrated

NEW = "# by `tierline fit`\n# left out: nothing\ncalibration:\n  top_spend: 9\n"
SECTION = "calibration:\n  top_spend: 9\n"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("policy: p\n", "policy: p\n" + SECTION),
        ("policy: p", "policy: p\n" + SECTION),
        ("policy: p\ncalibration:\n  top_spend: 1\n", "policy: p\n" + SECTION),
        ("policy: p\ncalibration:\n  top_spend: 1", "policy: p\n" + SECTION),
        ("calibration: {top_spend: 1}\nladders:\n  tier: []\n", SECTION + "ladders:\n  tier: []\n"),
        (
            "policy: p\ncalibration:\n  # old\n\n  rfm:\n    recency: [1d]\n  top_spend: 1\nchurn:\n  at_risk: x\n",
            "policy: p\n" + SECTION + "churn:\n  at_risk: x\n",
        ),
    ],
)
def test_only_the_calibration_is_another(policy: str, expected: str) -> None:
    assert recalibrated(policy, NEW) == expected


@pytest.mark.parametrize("wrong", ["", "policy: p\n", "calibration:\n  top_spend: 9\nchurn:\n  at_risk: x\n"])
def test_what_is_not_one_calibration_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="calibration"):
        recalibrated("policy: p\n", wrong)


BG_NBD = BgNbd(r="0.243", alpha="4.414", a="0.793", b="2.4_26")
WRITTEN = "  bg_nbd: {r: 0.243, alpha: 4.414, a: 0.793, b: 2.4_26, unit: week}\n"


@pytest.mark.parametrize("own", [SECTION, "calibration: {top_spend: 9}  # by hand\n"])
def test_parts_that_a_calibration_lacks_stay_as_the_one_before_has_them(own: str) -> None:
    policy = f"policy: p\ncurrency: EUR\nzone: UTC\n{own}ladders: {{}}\n"
    before = Calibration(bg_nbd=BG_NBD, top_spend="1")
    text, stay = completed(policy, "p.yaml", before)
    assert text == f"policy: p\ncurrency: EUR\nzone: UTC\ncalibration:\n{WRITTEN}  top_spend: 9\nladders: {{}}\n"
    assert stay == ["bg_nbd"]
    assert completed(policy, "p.yaml", Calibration(top_spend="1")) == (policy, [])
