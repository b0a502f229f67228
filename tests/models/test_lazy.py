"""The package of models costs nothing until a model is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import surveysim.models


def test_torch_comes_in_on_first_use():
    code = (
        "import sys, surveysim.models as m\n"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules), 'imported too early'\n"
        "assert {'load_model', 'clear_models', 'LoadedModel', 'Labels'} <= set(dir(m))\n"
        "m.resolve_device\n"
        "assert 'torch' in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_there():
    for name in surveysim.models.__all__:
        assert getattr(surveysim.models, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'no_such_model'"):
        surveysim.models.no_such_model  # noqa: B018
