"""Against a Kafka that demands TLS and logins and lets nobody do more than docs/security.md says they need."""

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import topics
from services.shared.connection import for_aiokafka
from services.shared.kafka import KafkaRefused, KafkaUnavailable, create_topics, verify
from services.shared.settings import KafkaSettings
from tests.fixtures.certificates import Authority
from tests.fixtures.places import open_folder
from tests.fixtures.secured import ADMIN, CERTIFIED, PASSWORD, SecuredKafka
from tests.waiting import until
from tests.whole.programs import Service, run

pytestmark = [pytest.mark.whole, pytest.mark.timeout(180)]

POLICY = Path("policies/retail.yaml").absolute()
GUIDE = Path("docs/security.md").read_text("utf-8")
COMMANDS = ("tierline policy", "tierline audit", "tierline rebuild", "tierline dead-letters")
WHO = ("setup", "ingest", "scorer", "notifier", *COMMANDS)
PURCHASE = {
    "id": "order-1", "source": "shop", "type": "purchase", "subject": "c-1", "amount": "900.00", "currency": "USD",
}  # fmt: skip
KEY_PASSWORD = "for the key"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def secured() -> AsyncIterator[SecuredKafka]:
    """One broker for all tests here, with a user for each of WHO, who may do nothing yet."""
    with open_folder() as folder:
        kafka = SecuredKafka(folder)
        try:
            await kafka.broker.start()
            await kafka.enrol(ADMIN, *map(user, WHO))
            (kafka.files / "password").write_text(f"{PASSWORD}\n")
            (kafka.files / "key-password").write_text(f"{KEY_PASSWORD}\n")
            kafka.authority.certify(CERTIFIED, password=KEY_PASSWORD)
            yield kafka
        finally:
            await kafka.broker.stop()


@pytest.fixture
def prefix() -> str:
    return f"t{secrets.token_hex(4)}-"


@pytest.fixture
def environment(prefix: str, database_url: str) -> dict[str, str]:
    """What all programs of one installation read, but for the way to the broker."""
    return {
        "DATABASE_URL": database_url,
        "TIERLINE_TOPIC_PREFIX": prefix,
        "TIERLINE_PARTITIONS": "2",
        "TIERLINE_POLICY": str(POLICY),
    }


def user(who: str) -> str:
    return f"the-{who.rpartition(' ')[2]}"


def example(name: str, kafka: SecuredKafka) -> dict[str, str]:
    """The variables of the guide's example, with the test's folder and hosts in their places."""
    block = GUIDE.split(f"<!-- example:{name} -->\n```sh\n")[1].split("```")[0]
    given = dict(re.findall(r"^export (\w+)=(.*)$", block, re.MULTILINE))
    given["KAFKA_BOOTSTRAP"] = kafka.address(given["KAFKA_SECURITY_PROTOCOL"])
    return {variable: value.replace("/run/secrets", str(kafka.files)) for variable, value in given.items()}


async def give_rights(kafka: SecuredKafka, prefix: str) -> None:
    """Those of the guide's table."""
    table = GUIDE.split("<!-- rights:begin -->")[1].split("<!-- rights:end -->")[0]
    for line in table.strip().splitlines()[2:]:
        who, kind, name, rights = (cell.strip() for cell in line.strip("|").split("|"))
        await kafka.allow(user(who), kind, prefix + name.strip("`"), *rights.split(", "))


def settings(kafka: SecuredKafka, prefix: str, protocol: str, **more: object) -> KafkaSettings:
    """For ADMIN, or CERTIFIED, with more or something wrong."""
    given: dict[str, object] = {"security_protocol": protocol, "kafka_bootstrap": kafka.address(protocol)}
    if protocol.endswith("SSL"):
        given["ssl_ca_file"] = kafka.authority.file
    if protocol.startswith("SASL"):
        given |= {"sasl_username": ADMIN, "sasl_password": PASSWORD}
    if protocol == "SSL":
        files = kafka.files / f"{CERTIFIED}.pem", kafka.files / f"{CERTIFIED}.key"
        given |= dict(zip(("ssl_certificate_file", "ssl_key_file"), files, strict=True))
        given["ssl_key_password"] = KEY_PASSWORD
    return KafkaSettings(topic_prefix=prefix, partitions=1, **(given | more))


# -- the whole way of an event


@pytest.mark.parametrize("way", ["login", "certificates"])
async def test_an_event_goes_all_its_way_by_the_guide(
    secured: SecuredKafka, environment: dict[str, str], prefix: str, way: str
) -> None:
    """By login each program is a user of its own with the rights of the guide's table, else all are CERTIFIED."""
    given = environment | example(way, secured)

    def of(who: str) -> dict[str, str]:
        return given | ({"KAFKA_SASL_USERNAME": user(who)} if way == "login" else {})

    if way == "login":
        await give_rights(secured, prefix)
    said = list((await run("setup", env=of("setup"))).lines)
    assert said[-1] == "tables: current", said
    async with contextlib.AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(Service(name, env=of(name))) for name in ("ingest", "scorer", "notifier")
        ]
        entry, _, api = [await stack.enter_async_context(service.client()) for service in services]
        assert (await entry.post("/v1/events", json=PURCHASE)).status_code == 202

        async def tier() -> object:
            answer = await api.get("/v1/customers/c-1")
            return answer.is_success and answer.json()["tier"]

        assert await until(tier, what="the notifier has the customer") == "gold"
        assert (await entry.post("/v1/merges", json={"from": "c-2", "into": "c-1"})).status_code == 202
        [announced] = await everything(secured, f"{prefix}tier-changes", partitions=2)
        assert b'"gold"' in announced
        policy = ("policy", "activate", str(POLICY), "--by", "li", "--json", "--topic")
        assert (await run(*policy, env=of("tierline policy"))).code == 0
        assert (await run("rebuild", "--wait", "--by", "li", env=of("tierline rebuild"))).code == 0
        code, history = await run("policy", "history", env=of("tierline policy"))
        assert code == 0
        assert [line.split("Z ")[-1] for line in history if "activated" in line][-1] == "by li", history
        code, audited = await run("audit", env=of("tierline audit"))
        assert (code, "0 differ" in audited[-1] or "0 differ" in audited[-2]) == (0, True), audited
        assert (await entry.post("/v1/events", json=PURCHASE | {"amount": "901.00"})).status_code == 202

        async def letter() -> object:
            code, letters = await run("dead-letters", "list", "--json", env=of("tierline dead-letters"))
            assert code == 0, letters
            return letters and json.loads(letters[-1])["letter"]

        conflict = str(await until(letter, what="the same id with another amount is a dead letter"))
        mended = ("dead-letters", "repair", conflict, "--set", "id=order-2", "--by", "li")
        assert (await run(*mended, env=of("tierline dead-letters"))).code == 0
        said += history + audited + [line for service in services for line in service.lines]
    assert not [line for line in said if PASSWORD in line or KEY_PASSWORD in line]
    troubles = [line for line in said if re.search(r"authoriz|Traceback|\bfailed\b", line, re.IGNORECASE)]
    assert not troubles, troubles


async def everything(kafka: SecuredKafka, topic: str, *, partitions: int) -> list[bytes]:
    """The committed records of a topic, read by the plain listener."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.address(), auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        assert len(consumer.assignment()) == partitions
        return [record.value for found in (await consumer.getmany(timeout_ms=5000)).values() for record in found]
    finally:
        await consumer.stop()


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [
        ("PLAINTEXT", ""),
        ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
        ("SASL_SSL", "PLAIN"),
        ("SASL_SSL", "SCRAM-SHA-256"),
        ("SASL_SSL", "SCRAM-SHA-512"),
        ("SSL", ""),
    ],
)
async def test_both_libraries_come_in_by_every_protocol_and_mechanism(
    secured: SecuredKafka, prefix: str, protocol: str, mechanism: str
) -> None:
    given = settings(secured, prefix, protocol, **({"sasl_mechanism": mechanism} if mechanism else {}))
    assert prefix + "events" in await asyncio.to_thread(create_topics, given)
    await verify(given)
    async with AIOKafkaProducer(**for_aiokafka(given), acks="all") as producer:
        assert (await producer.send_and_wait(prefix + "events", b"x")).offset == 0


# -- who is not let in, and whom we do not trust


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """An authority nobody knows."""
    return Authority(tmp_path, "stranger")


async def refused(given: KafkaSettings) -> str:
    with pytest.raises(KafkaRefused) as error:
        await verify(given, within_s=20)
    return str(error.value)


async def test_a_wrong_password_is_told_with_the_user(secured: SecuredKafka, prefix: str) -> None:
    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        line = await refused(settings(secured, prefix, "SASL_SSL", sasl_mechanism=mechanism, sasl_password="wrong"))
        assert f"does not let user '{ADMIN}' in (" in line
        assert "look at KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD" in line
        assert "'wrong'" not in line


async def test_a_certificate_of_an_authority_we_do_not_know_is_told(
    secured: SecuredKafka, prefix: str, stranger: Authority
) -> None:
    for file in (stranger.file, None):  # None: the system's
        line = await refused(settings(secured, prefix, "SASL_SSL", ssl_ca_file=file))
        assert "not to be trusted (unable to get local issuer certificate): KAFKA_SSL_CA_FILE has to hold" in line


async def test_a_certificate_for_another_host_is_told_and_may_be_allowed(secured: SecuredKafka, prefix: str) -> None:
    given = settings(secured, prefix, "SASL_SSL", kafka_bootstrap=secured.address("SASL_SSL", host="localhost"))
    line = await refused(given)
    assert "Hostname mismatch, certificate is not valid for 'localhost'): name it in KAFKA_BOOTSTRAP as" in line
    with pytest.raises(Exception, match=r"Unable to bootstrap"):
        await AIOKafkaProducer(**for_aiokafka(given)).start()
    given.ssl_verify_hostname = False
    await asyncio.to_thread(create_topics, given)
    async with AIOKafkaProducer(**for_aiokafka(given)):
        pass


async def test_a_plain_client_at_a_listener_with_tls_is_told(secured: SecuredKafka, prefix: str) -> None:
    for protocol, wanted in (("PLAINTEXT", "SSL or SASL_SSL"), ("SASL_PLAINTEXT", "SASL_SSL")):
        line = await refused(settings(secured, prefix, protocol, kafka_bootstrap=secured.address("SASL_SSL")))
        assert line.endswith(f"speaks TLS, but KAFKA_SECURITY_PROTOCOL={protocol}: set it to {wanted}")


async def test_a_listener_that_asks_for_a_certificate_says_so(
    secured: SecuredKafka, prefix: str, stranger: Authority
) -> None:
    unknown = dict(zip(("ssl_certificate_file", "ssl_key_file"), stranger.certify("unknown"), strict=True))
    for own in ({"ssl_certificate_file": None, "ssl_key_file": None}, unknown):
        line = await refused(settings(secured, prefix, "SSL", ssl_key_password=None, **own))
        assert "wants a certificate of ours that it trusts" in line
        assert "look at KAFKA_SSL_CERTIFICATE_FILE" in line


async def test_what_may_be_a_broker_on_its_way_down_is_waited_for_and_told_with_a_hint(
    secured: SecuredKafka, prefix: str
) -> None:
    for protocol, address in (("SASL_SSL", "PLAINTEXT"), ("PLAINTEXT", "SASL_PLAINTEXT")):
        given = settings(secured, prefix, protocol, kafka_bootstrap=secured.address(address))
        with pytest.raises(KafkaUnavailable, match="KAFKA_SECURITY_PROTOCOL") as error:
            await verify(given, within_s=2)
        assert not isinstance(error.value, KafkaRefused)


async def test_settings_of_topics_that_may_not_be_looked_at_are_told_with_the_right_that_is_missing(
    secured: SecuredKafka, prefix: str
) -> None:
    await asyncio.to_thread(create_topics, settings(secured, prefix, "SASL_SSL"), [topics.EVENTS])
    await secured.enrol("half-blind")
    await secured.allow("half-blind", "topic", prefix + "*", "Read", "Write")
    given = settings(secured, prefix, "SASL_SSL", sasl_username="half-blind")
    with pytest.raises(KafkaRefused, match=f"settings of topic {prefix}events.*user 'half-blind' needs the right to D"):
        await verify(given, [topics.EVENTS])
    with pytest.raises(KafkaRefused, match=f"{prefix}decisions cannot be created.*user 'half-blind' needs the right"):
        await asyncio.to_thread(create_topics, given, [topics.EVENTS, topics.DECISIONS])


# -- the same of the programs themselves


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"KAFKA_SASL_PASSWORD": "guessed"}, "does not let user 'admin' in"),
        ({"KAFKA_SSL_CA_FILE": "stranger"}, "unable to get local issuer certificate): KAFKA_SSL_CA_FILE has to hold"),
        ({"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "speaks TLS, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT: set it to SSL"),
    ],
    ids=["password", "authority", "plain"],
)
async def test_every_program_ends_with_one_line_that_says_which(
    secured: SecuredKafka, environment: dict[str, str], stranger: Authority, wrong: Mapping[str, str], line: str
) -> None:
    plain = environment | {"KAFKA_BOOTSTRAP": secured.address()}
    assert (await run("setup", env=plain)).code == 0
    given = {
        "KAFKA_BOOTSTRAP": secured.address("SASL_SSL"),
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SSL_CA_FILE": str(secured.authority.file),
        "KAFKA_SASL_USERNAME": ADMIN,
        "KAFKA_SASL_PASSWORD": PASSWORD,
        **{name: value.replace("stranger", str(stranger.file)) for name, value in wrong.items()},
        "TIERLINE_LOG_LEVEL": "warning",
        **{f"TIERLINE_{name}_PORT": "0" for name in ("INGEST", "SCORER", "NOTIFIER")},
    }
    if given["KAFKA_SECURITY_PROTOCOL"] == "PLAINTEXT":
        given = {name: value for name, value in given.items() if not name.startswith(("KAFKA_SSL", "KAFKA_SASL"))}
    programs = [("ingest",), ("scorer",), ("notifier",), ("setup",), ("policy", "history")]
    ends = await asyncio.gather(*(run(*program, env=environment | given) for program in programs))
    for program, (code, lines) in zip(programs, ends, strict=True):
        assert code == 2, (program, lines)
        assert len(lines) == 1, (program, lines)
        assert line in lines[0]
        assert "guessed" not in lines[0]


async def test_a_password_changed_while_ingest_runs_is_told_and_the_old_one_again_is_taken(
    secured: SecuredKafka, prefix: str
) -> None:
    admin = settings(secured, prefix, "SASL_SSL")
    await asyncio.to_thread(create_topics, admin, [topics.EVENTS, topics.IDENTITIES])
    await secured.enrol("changing")
    await secured.allow("changing", "topic", prefix + "*", "Write", "DescribeConfigs")
    env = {
        "KAFKA_BOOTSTRAP": secured.address("SASL_SSL"),
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SSL_CA_FILE": str(secured.authority.file),
        "KAFKA_SASL_USERNAME": "changing",
        "KAFKA_SASL_PASSWORD": PASSWORD,
        "TIERLINE_TOPIC_PREFIX": prefix,
        "TIERLINE_PARTITIONS": "1",
    }
    async with Service("ingest", env=env) as ingest, ingest.client() as client:

        async def status() -> int:
            return (await client.post("/v1/events", json=PURCHASE)).status_code

        assert await status() == 202
        await secured.enrol("changing", password="another")
        await secured.broker.kill()
        await secured.broker.start()
        await until(lambda: any("does not let user 'changing' in" in line for line in ingest.lines), what="it is told")
        assert await status() == 503
        assert sum("does not let user" in line for line in ingest.lines) == 1, "once"
        await secured.enrol("changing")

        async def taken() -> bool:
            return await status() == 202

        await until(taken)
