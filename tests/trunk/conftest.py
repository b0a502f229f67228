"""Fixtures of the tests on the trunk: tiny random models, one of them without trunk states, and no network."""

from tests.fixtures import few_steps, loads, model, no_network, tiny  # noqa: F401
