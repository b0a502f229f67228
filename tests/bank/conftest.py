"""Fixtures of the tests on question banks."""

from tests.fixtures import few_steps, loads, model  # noqa: F401
