"""Fixtures that all tests may use; what each is says the module it comes from."""

pytest_plugins = ["tests.fixtures.places", "tests.fixtures.broker", "tests.fixtures.database"]
