"""The page on elicitation: its code runs as it stands, and what it says of methods is what they are."""

import re
from pathlib import Path

import numpy as np
import pytest

from surveysim.elicitation import METHODS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "elicitation.md").read_text(encoding="utf-8")


def test_the_code_runs():
    own, _, _ = PAGE.partition("## Models behind a server")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", own, flags=re.MULTILINE | re.DOTALL))
    names: dict = {}
    exec(compile(code, "elicitation.md", "exec"), names)
    np.testing.assert_allclose(names["elicitation"].P.sum(axis=1), 1)
    assert (names["elicitation"].label_mass > 0.5).all()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_in_the_table(name):
    assert re.search(rf'^\| `"{name}"` \|', PAGE, flags=re.MULTILINE)
