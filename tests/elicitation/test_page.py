"""The page on elicitation: its code runs as it stands, and what it says of methods is what they are."""

import re

import numpy as np
import pytest

from surveysim.elicitation import METHODS
from tests import pages

PAGE = pages.text_of("elicitation")


def test_the_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = pages.run("elicitation")
    np.testing.assert_allclose(names["elicitation"].P.sum(axis=1), 1)
    assert (names["elicitation"].label_mass > 0.5).all()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_in_the_table(name):
    assert re.search(rf'^\| `"{name}"` \|', PAGE, flags=re.MULTILINE)
