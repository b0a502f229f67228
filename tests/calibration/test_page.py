"""The documentation's page on calibration: its code runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).resolve().parents[2] / "docs" / "calibration.md"


def test_the_code_runs() -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S))
    names: dict[str, Any] = {}
    exec(compile(code, "calibration.md", "exec"), names)
    assert names["by_question"].shape == names["by_group"].shape == (4, 4)
    predicted = names["model"].fit(names["cells"][:4], names["observed"]).predict(names["cells"][:4])
    np.testing.assert_allclose(predicted.sum(axis=1), 1)
    calibrated = names["calibrator"].predict(names["asked"][4:])
    assert calibrated.max() < np.max(names["asked"][4:])  # label probabilities are too sure of themselves
