"""The library's own errors and warnings, all of one family, and the one way in which it warns."""

from __future__ import annotations

import errno
import os
import sys
import warnings

from sklearn import exceptions as sklearn_exceptions

__all__ = [
    "ConvergenceWarning",
    "DiskFullError",
    "SurveysimError",
    "SurveysimWarning",
    "UndefinedMetricWarning",
    "is_disk_full",
    "warn",
]

_BETWEEN = ("surveysim", "sklearn", "joblib", "contextlib")
"""Packages whose frames lie between a user's line and a warning: the library, and what calls it for the user."""


class SurveysimError(Exception):
    """Base of the errors that surveysim has names for.

    Each of them is a ValueError, TypeError or RuntimeError as well. An argument that cannot be used is a plain
    ValueError or TypeError, as everywhere in scikit-learn.
    """


class DiskFullError(SurveysimError, OSError, RuntimeError):
    """Something could not be written because the disk, or the user's share of it, is full.

    Parameters
    ----------
    what : str
        What was to be written, and what to do about it.
    path : str or path
        Where.
    """

    def __init__(self, what: str, path: str | os.PathLike[str]) -> None:
        super().__init__(errno.ENOSPC, what, os.fspath(path))

    def __reduce__(self) -> tuple[type[DiskFullError], tuple[str, str], dict[str, object]]:
        return type(self), (str(self.strerror), str(self.filename)), dict(vars(self))


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of the system, or of a library, says that there is no room."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    said = str(error).lower()
    return any(words in said for words in ("no space left", "disk is full", "os error 28)", "quota exceeded"))


class SurveysimWarning(UserWarning):
    """Base of all warnings of surveysim: ``warnings.simplefilter("error", SurveysimWarning)`` makes them errors."""


class ConvergenceWarning(SurveysimWarning, sklearn_exceptions.ConvergenceWarning):
    """An optimum was not reached within the iterations allowed."""


class UndefinedMetricWarning(SurveysimWarning, sklearn_exceptions.UndefinedMetricWarning):
    """A figure is not defined for these data and is NaN."""


def warn(message: str, category: type[Warning] = SurveysimWarning) -> None:
    """Warn at the user's own line, however deep in the library, or in a search or loop around it, the cause is.

    Parameters
    ----------
    message : str
        What was found, and what to do about it.
    category : type of Warning, default=SurveysimWarning
        One of the family.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_between(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def _is_between(module: str) -> bool:
    return module.partition(".")[0] in _BETWEEN
