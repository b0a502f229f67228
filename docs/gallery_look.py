"""How the pictures of the gallery look, and what is put back before each of its scripts."""

from __future__ import annotations

from typing import Any

LOOK = {
    "figure.facecolor": "white",
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.labelcolor": "#22272e",
    "axes.edgecolor": "#8b949e",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dfe3e8",
    "grid.linewidth": 0.7,
    "xtick.color": "#22272e",
    "ytick.color": "#22272e",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}


def reset(gallery_conf: dict[str, Any], script: str) -> None:
    """Every script starts with the same look and with scikit-learn's settings untouched by the one before."""
    import matplotlib.pyplot as plt
    import sklearn

    sklearn.set_config(enable_metadata_routing=False)
    plt.rcParams.update(LOOK)
