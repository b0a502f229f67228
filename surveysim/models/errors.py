"""Errors in finding and loading models, and what to do about them."""

from __future__ import annotations

from surveysim.errors import SurveysimError

__all__ = ["ADVICE", "ModelNotFoundError"]

#: Ends every message about a model that cannot be had.
ADVICE = (
    'What you can do: use model="nano", the small model that comes with surveysim and needs no download; pass the '
    "folder of a model that you have; set the environment variable HF_HOME to where a hub cache with the model lies "
    "(local_files_only=True then never asks the network); or go online and try again."
)


class ModelNotFoundError(SurveysimError, ValueError):
    """There is no usable model under that name or in that folder, or it cannot be downloaded from here."""
