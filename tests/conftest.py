"""Fixtures that the whole test suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.clusters import cluster, notes  # noqa: F401  (fixtures)

# The same examples in every run: a commit that passed once passes again. New ones are looked for with
# HYPOTHESIS_PROFILE=explore, and what it finds is kept as an @example.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def survey_data() -> Path:
    """The folder of real survey files; tests that need it are skipped where it is not."""
    folder = Path(os.environ.get("SURVEYSIM_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / "nonvoters_2020").is_dir():
        pytest.skip(f"no real survey data: set SURVEYSIM_DATA, or place it in {folder}")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random causal language model of three blocks that `load_model` opens. Do not write into it."""
    from tests.tiny_models import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("tiny"))
