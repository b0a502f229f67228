"""The guide on calibration: its cells run, and find what they say."""

from __future__ import annotations

import numpy as np

from tests import pages


def test_calibration() -> None:
    names = pages.run("calibration")
    assert names["by_question"].shape == names["by_group"].shape == (4, 4)
    predicted = names["model"].fit(names["cells"][:4], names["observed"]).predict(names["cells"][:4])
    np.testing.assert_allclose(predicted.sum(axis=1), 1)
    calibrated = names["calibrator"].predict(names["asked"][4:])
    assert calibrated.max() < np.max(names["asked"][4:])  # label probabilities are too sure of themselves


def test_anchoring() -> None:
    names = pages.run("anchoring")
    predicted = names["model"].predict(names["groups"])
    np.testing.assert_allclose(predicted[[1, 4]], names["known"], atol=1e-9)  # the known group stays as it is
    said = np.array(names["said"])
    assert np.abs(predicted[0] - predicted[2]).sum() < np.abs(said[0] - said[2]).sum()  # "models exaggerate"
