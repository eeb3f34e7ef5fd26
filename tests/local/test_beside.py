"""What a person pastes to have other commands reach what `tierline up` runs."""

from services.local.beside import exports


def test_only_what_differs_from_the_defaults_is_named():
    same = {"KAFKA_BOOTSTRAP": "127.0.0.1:9092", "TIERLINE_PARTITIONS": "12", "TIERLINE_NOTIFIER_PORT": "8082"}
    assert exports(same | {"TIERLINE_TOPIC_PREFIX": "", "PATH": "/bin", "TIERLINE_LOG_FORMAT": "text"}) == ""
    other = {"KAFKA_BOOTSTRAP": "127.0.0.1:29697", "TIERLINE_PARTITIONS": "4", "TIERLINE_NOTIFIER_PORT": "9000"}
    assert exports(other) == "export KAFKA_BOOTSTRAP=127.0.0.1:29697 TIERLINE_PARTITIONS=4 TIERLINE_NOTIFIER_PORT=9000"


def test_a_shell_reads_each_value_back_as_it_was():
    assert exports({"KAFKA_SSL_CA_FILE": "/my files/ca.pem"}) == "export KAFKA_SSL_CA_FILE='/my files/ca.pem'"


def test_no_password_is_shown():
    secrets = {"KAFKA_SASL_PASSWORD": "hush", "KAFKA_SSL_KEY_PASSWORD": "hush", "DATABASE_URL": "postgresql://a:hush@b"}
    assert exports(secrets) == ""
