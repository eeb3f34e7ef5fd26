"""The variables that other commands need to reach what `tierline up` runs, as a line for the shell."""

import shlex
from collections.abc import Iterator, Mapping

from pydantic import AliasChoices, SecretStr

from services.shared.settings import IngestSettings, KafkaSettings, NotifierSettings

_OWN = {"log_format", "log_level"}
_ADDRESS = ("host", "port")


def exports(environment: Mapping[str, str]) -> str:
    """`export NAME=value ...` of those that differ from what the commands take by themselves; empty if none does.

    environment: what the services run with. Passwords are not among them.
    """
    words = [
        f"{name}={shlex.quote(environment[name])}"
        for name, default in _asked_for()
        if environment.get(name, "") not in ("", default)
    ]
    return f"export {' '.join(words)}" if words else ""


def _asked_for() -> Iterator[tuple[str, str]]:
    """Each variable that says where things are, with its default."""
    shared = [name for name in KafkaSettings.model_fields if name not in _OWN]
    for settings, names in ((KafkaSettings, shared), (IngestSettings, _ADDRESS), (NotifierSettings, _ADDRESS)):
        for name in names:
            field = settings.model_fields[name]
            if SecretStr in getattr(field.annotation, "__args__", (field.annotation,)):
                continue
            assert isinstance(field.validation_alias, AliasChoices)
            default = "" if field.default is None else str(field.default)
            yield str(field.validation_alias.choices[0]), default
