"""`tierline fit`: what it prints and writes, and how it answers what it can't use."""

import json
from pathlib import Path

import pytest
import yaml

from services.cli.main import main
from services.demo import cdnow

SAMPLE_IDS = Path("tests/analyst/data/cdnow_sample_ids.txt.xz")
SAMPLE = (cdnow.FILE, "--until", "1997-09-30", "--customers", SAMPLE_IDS)


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `tierline fit` in this process: its exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "110")

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tierline", "fit", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def rows(tmp_path):
    def write(*lines: str) -> Path:
        (file := tmp_path / "rows.txt").write_text("\n".join(lines))
        return file

    return write


def misused(answer: tuple[int, str, str], *words: str) -> None:
    code, out, err = answer
    assert (code, out, err.count("\n")) == (2, "", 1), (out, err)
    for word in words:
        assert word in err


def test_the_sample_of_cdnow_in_words(fit, tmp_path):
    code, out, err = fit(*SAMPLE, "--out", tmp_path / "c.yaml", "--report", tmp_path / "r.html")
    assert (code, err) == (0, "")
    for word in ("2,357 customers", "r 0.2426", "alpha 4.414", "a 0.7929", "b 2.426", "-9,582.4", "yes, 5 of 5 starts"):
        assert word in out
    never_again = next(line for line in out.splitlines() if "█" in line and "░" not in line)
    assert never_again.split()[:3] == ["0", "1,411", "1,407.7"]
    section = yaml.load((tmp_path / "c.yaml").read_text(), Loader=yaml.BaseLoader)["calibration"]
    assert section["gamma_gamma"] == {"p": "6.24957", "q": "3.74422", "v": "15.4435"}
    assert section["rfm"]["recency"] == ["100d", "198d", "220d", "243d"]
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_the_sample_of_cdnow_as_json(fit):
    code, out, err = fit(*SAMPLE, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert round(found["bg_nbd"]["log_likelihood"], 1) == -9582.4
    assert found["calibration"]["top_spend"] == found["top_spend"]["spend"] == "49.68"
    assert found["weeks"][38]["until"] == "1997-09-30"
    assert found["groups"][0]["spend"] == "173.43"


def test_without_out_the_section_is_printed(fit, rows):
    _, out, _ = fit(rows("a 19970101 1 5.00", "b 19970109 1 9.00"))
    assert yaml.load(out[out.index("calibration:") :], Loader=yaml.BaseLoader)["calibration"]["top_spend"] == "5.00"


def test_what_must_not_be_used_is_left_out_and_exits_1(fit, rows, tmp_path):
    code, out, err = fit(rows("a 19970101 1 5.00", "b 19970109 1 9.00"), "--out", tmp_path / "c.yaml")
    assert (code, err) == (1, "")
    assert "not to be used: bg_nbd: 0 customers have repeat purchases" in " ".join(out.split())
    text = (tmp_path / "c.yaml").read_text()
    assert "# left out: bg_nbd: 0 customers" in text
    assert set(yaml.safe_load(text)["calibration"]) == {"rfm", "top_spend"}


def test_json_says_what_must_not_be_used_too(fit, rows):
    code, out, _ = fit(rows("a 19970101 1 5.00"), "--json")
    found = json.loads(out)
    assert code == 1
    assert [flaw.split(":")[0] for flaw in found["flaws"]] == ["bg_nbd", "gamma_gamma"]
    assert found["bg_nbd"] is None


def test_a_row_that_cannot_be_read(fit, rows):
    misused(fit(rows("a 19970101 1 5.00", "b 19970109 1 x")), "rows.txt:2: 'x' is not a plain decimal number")


def test_a_file_that_is_not_there(fit, tmp_path, rows):
    misused(fit(tmp_path / "none"), "none cannot be read: No such file")
    misused(fit(rows("a 19970101 1 5"), "--customers", tmp_path / "none"), "--customers: ", "No such file")


def test_a_file_that_cannot_be_written(fit, rows, tmp_path):
    misused(
        fit(rows("a 19970101 1 5.00"), "--out", tmp_path / "none" / "c.yaml"), "none/c.yaml cannot be written: No such"
    )


def test_nobody_left_to_learn_from(fit, rows):
    misused(fit(rows("a 19970101 1 5"), "--until", "1996-12-31"), "no purchase of any customer stands by 1996-12-31")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--until", "1997-13-01", "'1997-13-01' does not match the format"),
        ("--zone", "Mars/Base", "'Mars/Base' is no zone; write it as Asia/Shanghai"),
        ("--currency", "usd", 'did you mean "USD"'),
        ("--horizon", "3mo", "'3mo' is no whole number of days; write it as 90d"),
        ("--horizon", "36h", "'36h' is no whole number of days"),
        ("--horizon", "soon", "'soon' is not a span of time"),
        ("--groups", "0", "0 is not in the range"),
        ("--unit", "month", "'month' is not one of"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(fit, rows, option, value, said):
    misused(fit(rows("a 19970101 1 5"), option, value), option, said)
