"""scikit-learn estimators of how groups of people answer survey questions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from surveysim.questions import Question

if TYPE_CHECKING:
    from surveysim.calibrated import CalibratedElicitor as CalibratedElicitor
    from surveysim.dsa import DSARegressor as DSARegressor
    from surveysim.fused import FusedRegressor as FusedRegressor
    from surveysim.persistence import load as load
    from surveysim.similarity import SimilarityElicitor as SimilarityElicitor
    from surveysim.tables import poststratify as poststratify
    from surveysim.tables import rake as rake
    from surveysim.tables import tabulate as tabulate
    from surveysim.zero_shot import ZeroShotElicitor as ZeroShotElicitor

__version__ = "0.1.0"

# Imported on first use: torch and transformers take seconds to import, and tables and metrics do not need them.
_LAZY = {
    "CalibratedElicitor": "surveysim.calibrated",
    "DSARegressor": "surveysim.dsa",
    "FusedRegressor": "surveysim.fused",
    "SimilarityElicitor": "surveysim.similarity",
    "ZeroShotElicitor": "surveysim.zero_shot",
    "load": "surveysim.persistence",
    "poststratify": "surveysim.tables",
    "rake": "surveysim.tables",
    "tabulate": "surveysim.tables",
}

__all__ = [
    "CalibratedElicitor",
    "DSARegressor",
    "FusedRegressor",
    "Question",
    "SimilarityElicitor",
    "ZeroShotElicitor",
    "__version__",
    "load",
    "poststratify",
    "rake",
    "tabulate",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'surveysim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
