"""Fixtures of the tests on models: tiny random models, an empty registry, and no network."""

from tests.fixtures import empty_registry, no_network, tiny  # noqa: F401
