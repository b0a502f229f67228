"""Fixtures of the tests on training: a tiny model without trunk states, and a counter."""

from tests.fixtures import few_steps, loads, model  # noqa: F401
