"""How a database may be written in the settings."""

import pytest

from services.shared.settings import NotifierSettings


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql", "postgres"])
def test_a_databases_driver_may_be_left_out(monkeypatch: pytest.MonkeyPatch, driver: str):
    monkeypatch.setenv("DATABASE_URL", f"{driver}://li:a%40b@h:5433/n?application_name=x")
    assert NotifierSettings().database_url == "postgresql+asyncpg://li:a%40b@h:5433/n?application_name=x"


def test_an_empty_address_of_a_database_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "")
    assert NotifierSettings().database_url == NotifierSettings.model_fields["database_url"].default
