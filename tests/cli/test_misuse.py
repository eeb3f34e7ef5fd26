"""Whatever is asked wrongly is answered by one clear line on stderr and exit code 2, before anything is started."""

import socket
from pathlib import Path

import pytest

from services.cli.main import main
from services.local.datafolder import DataFolder
from tests.scorer.domain.full_policy import EXCERPT

RETAIL = Path("policies/retail.yaml").read_text()


@pytest.fixture
def tierline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command line in this process: its exit code, stdout and stderr."""
    for variable in (
        "KAFKA_BOOTSTRAP", "KAFKA_SECURITY_PROTOCOL", "DATABASE_URL", "TIERLINE_PARTITIONS", "TIERLINE_POLICY"
    ):  # fmt: skip
        monkeypatch.delenv(variable, raising=False)

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tierline", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


def misused(answer: tuple[int, str, str], *words: str) -> None:
    code, out, err = answer
    assert (code, out, err.count("\n")) == (2, "", 1), (out, err)
    assert err.startswith("tierline: ")
    for word in words:
        assert word in err


def test_an_unknown_command(tierline):
    misused(tierline("upp"), "'upp'", "tierline --help")


def test_an_unknown_option(tierline):
    misused(tierline("up", "--demos"), "--demos", "tierline up --help")


def test_once_without_demo(tierline):
    misused(tierline("up", "--once"), "--once goes with --demo")


def test_a_port_that_is_no_port(tierline, monkeypatch):
    monkeypatch.setenv("TIERLINE_INGEST_PORT", "80808")
    misused(tierline("up"), "80808", "TIERLINE_INGEST_PORT")


def test_a_setting_of_a_service_before_anything_is_started(tierline, tmp_path, monkeypatch):
    monkeypatch.setenv("TIERLINE_LOG_LEVEL", "loud")
    misused(tierline("up", "--data", tmp_path / "data"), "TIERLINE_LOG_LEVEL='loud'", "debug|info|warning|error")
    assert not (tmp_path / "data").exists()


def test_a_policy_that_is_not_there(tierline, tmp_path):
    misused(tierline("up", "--policy", tmp_path / "none.yaml"), "none.yaml", "No such file")


def test_a_policy_that_is_no_text(tierline, tmp_path):
    (tmp_path / "policy.yaml").write_bytes(b"\xff\xfe")
    for command in (("up", "--policy"), ("policy", "diff", "policies/retail.yaml")):
        misused(tierline(*command, tmp_path / "policy.yaml"), "policy.yaml:1:1: byte 0xff is not UTF-8")


def test_a_policy_with_a_mistake_is_answered_with_its_place(tierline, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(RETAIL.replace("spend_1y >= 300", "spend_1yy >= 300"))
    line = RETAIL[: RETAIL.index("spend_1y >= 300")].count("\n") + 1
    misused(tierline("up", "--policy", file), f"policy.yaml:{line}:31:", "'spend_1yy'", "did you mean 'spend_1y'")


def test_a_policy_of_which_no_service_carries_a_part_out_yet(tierline, tmp_path):
    (file := tmp_path / "policy.yaml").write_text(EXCERPT)
    words = ("policy.yaml:49:60: checked, but not carried out yet: `to: owner`", "name a queue or a person")
    misused(tierline("up", "--data", tmp_path / "data", "--policy", file), *words)
    assert not (tmp_path / "data").exists()


def test_a_broken_policy_is_told_before_kafka_is_looked_for(tierline, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    (file := tmp_path / "policy.yaml").write_text(RETAIL.replace("spend_1y >= 300", "spend_1yy >= 300"))
    for command in (("activate", file), ("backtest", "--topic", "--policy", file)):
        misused(tierline("policy", *command), "policy.yaml:", "did you mean 'spend_1y'")


def test_a_calibration_that_is_none_is_told_before_kafka_is_looked_for(tierline, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    (file := tmp_path / "calibration.yaml").write_text("policy: x\n")
    misused(tierline("policy", "activate", "policies/retail.yaml", "--calibration", file), "calibration.yaml")


def test_a_policy_in_the_environment(tierline, monkeypatch):
    monkeypatch.setenv("TIERLINE_POLICY", "/nowhere.yaml")
    misused(tierline("up"), "/nowhere.yaml")


def test_a_port_in_use(tierline, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        misused(tierline("up", "--data", tmp_path / "data", "--notifier-port", port), f"notifier: port {port}")


def test_a_data_folder_in_use(tierline, tmp_path):
    with DataFolder(tmp_path / "data"):
        misused(tierline("up", "--data", tmp_path / "data"), str(tmp_path / "data"), "in use")


def test_a_data_folder_that_is_not_ours(tierline, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    misused(tierline("up", "--data", tmp_path, "--fresh"), "not a data folder")
    assert (tmp_path / "letter.txt").exists()


def test_another_number_of_partitions_than_at_the_first_start(tierline, tmp_path, monkeypatch):
    with DataFolder(tmp_path / "data") as folder:
        (folder.path / "partitions").write_text("4\n")
    monkeypatch.setenv("TIERLINE_PARTITIONS", "8")
    ports = ("--ingest-port", 0, "--scorer-port", 0, "--notifier-port", 0)
    misused(tierline("up", "--data", tmp_path / "data", *ports), "TIERLINE_PARTITIONS=8", "began with 4")


def test_fresh_over_a_kafka_that_is_not_embedded(tierline, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    misused(tierline("up", "--fresh", "--data", tmp_path / "data"), "--fresh")


@pytest.mark.parametrize(
    "command", [["ingest"], ["scorer"], ["notifier"], ["setup"], ["policy", "history"], ["up", "--data", "/nowhere"]]
)
def test_a_login_without_a_user(tierline, monkeypatch, command):
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    misused(tierline(*command), "KAFKA_SECURITY_PROTOCOL=SASL_SSL asks for a login: set KAFKA_SASL_USERNAME")


def test_security_for_a_kafka_that_is_not_named(tierline, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SSL")
    misused(tierline("up", "--data", tmp_path / "data"), "KAFKA_SECURITY_PROTOCOL", "KAFKA_BOOTSTRAP names none")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("service", ["ingest", "scorer", "notifier", "setup"])
def test_a_setting_that_cannot_be_used_names_variable_value_and_what_is_allowed(tierline, monkeypatch, service):
    monkeypatch.setenv("TIERLINE_PARTITIONS", "0")
    misused(tierline(service), "TIERLINE_PARTITIONS='0'", "greater than or equal to 1")


def test_a_database_that_is_no_address(tierline, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "somewhere")
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    misused(tierline("setup"), "DATABASE_URL")


@pytest.mark.parametrize("command", ["setup", "notifier", "up"])
@pytest.mark.parametrize("url", ["mysql://h/n", "postgresql+psycopg2://li:hush@h/n", "postgresql://li:hush@h:p/n"])
def test_a_database_of_another_kind_or_driver(tierline, monkeypatch, url, command):
    monkeypatch.setenv("DATABASE_URL", url)
    answer = tierline(command)
    misused(answer, "DATABASE_URL", "postgresql+asyncpg://user@host/name")
    assert "hush" not in answer[2]


def test_a_database_with_an_option_its_driver_does_not_know(tierline, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://li:hush@h/n?sslmode=require")
    misused(tierline("setup"), "sslmode", "ssl=")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sample", "0%"), ("'0%'", "write it as 1%")),
        (("--sample", "some"), ("'some'", "write it as 1%")),
        (("--every", "soon"), ("'soon'", "30s, 15min, 1h or 1d")),
        (("--customer", "c-1", "--sample", "1%"), ("--customer goes alone",)),
        (("--slice", "2"), ("--slice goes with --sample",)),
        (("--sample", "50%", "--slice", "3"), ("--slice", "at most as many")),
        (("--port", "8083"), ("--port goes with --every",)),
    ],
)
def test_an_audit_of_what_cannot_be(tierline, arguments, words):
    misused(tierline("audit", *arguments), *words)


def test_an_audit_again_and_again_on_a_port_that_is_taken(tierline, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        misused(tierline("audit", "--every", "1h", "--port", port), f"cannot listen on 127.0.0.1:{port}")
