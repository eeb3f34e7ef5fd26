"""A policy's file, and what is said of one that can't be used."""

from pathlib import Path

import pytest

from services.scorer import policies
from services.scorer.domain.policy import PolicyError

ROOT = Path(__file__).parents[2]


def test_a_policy_comes_out_of_its_file() -> None:
    assert policies.read(ROOT / "policies" / "retail.yaml").name == "retail"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, r"^\S+shop\.yaml: the policy cannot be read: No such file"),
        (b"policy: \xff", r"^\S+shop\.yaml:1:9: byte 0xff is not UTF-8; save it as UTF-8$"),
        ("# ä\npolicy: Müller".encode() + b" M\xfcller", r"^\S+shop\.yaml:2:17: byte 0xfc is not UTF-8"),
        (b"policy: [\n", r"shop\.yaml:2:1: not YAML"),
        (b"policy: shop\n", r"shop\.yaml:1:1: "),
    ],
)
def test_a_file_that_holds_none_is_refused_in_one_line_that_names_it(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "shop.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PolicyError, match=told) as refused:
        policies.read(file)
    assert "\n" not in str(refused.value)
