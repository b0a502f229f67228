"""`load`: from a folder to the estimator that was saved in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from surveysim.saving import read_folder

if TYPE_CHECKING:
    from surveysim.bank import QuestionBank
    from surveysim.dsa import DSARegressor

__all__ = ["load"]


def load(path: str | os.PathLike[str]) -> DSARegressor | QuestionBank:
    """Open an estimator or a question bank that its ``save`` method wrote.

    The base model is not opened until something is predicted. It is then looked up under the name that it had when the
    estimator was fitted, and its fingerprint is checked. The device is chosen anew for this machine.

    Parameters
    ----------
    path : path
        The folder.

    Returns
    -------
    DSARegressor or QuestionBank
        As it was when it was saved; an estimator with ``device="auto"``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no estimator in it.
    ValueError
        If the folder is damaged, was written by a newer version, or names a class that does not belong to this library.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import pandas as pd
    >>> import surveysim
    >>> X = pd.DataFrame({"age": ["18-29", "65+"]})
    >>> model = surveysim.DSARegressor("nano", max_epochs=1, random_state=0)
    >>> model = model.fit(X, [[0.7, 0.3], [0.4, 0.6]], sample_weight=[40, 30])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(Path(folder) / "content")
    ...     again = surveysim.load(Path(folder) / "content")
    >>> bool(np.array_equal(again.predict(X), model.predict(X)))
    True
    """
    from surveysim.bank import QuestionBank
    from surveysim.bank.bank import BANK_CLASS
    from surveysim.dsa import DSARegressor
    from surveysim.dsa.saved import restore
    from surveysim.models.own_torch import own_torch
    from surveysim.version import __version__

    with own_torch():
        state, tensors = read_folder(Path(path), {"DSARegressor", BANK_CLASS}, __version__)
    if state["class"] == BANK_CLASS:
        return QuestionBank.from_state(state, tensors)
    return restore(DSARegressor, state, tensors)
