"""What is put back before each script of the gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def reset(gallery_conf: dict[str, Any], script: str) -> None:
    """Every script starts with the same look and with scikit-learn's settings untouched by the one before."""
    import matplotlib
    import matplotlib.pyplot as plt
    import sklearn

    sklearn.set_config(enable_metadata_routing=False)
    look = matplotlib.rc_params_from_file(
        Path(__file__).parent / "matplotlibrc", use_default_template=False
    )
    plt.rcParams.update(look)
