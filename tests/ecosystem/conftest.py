"""A tiny model in place of a real one, and no network."""

from tests.fixtures import empty_registry, few_steps, no_network  # noqa: F401  (fixtures)
