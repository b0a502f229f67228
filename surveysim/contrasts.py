"""Contrasts of a question's options: the directions in which groups can differ."""

from __future__ import annotations

import numpy as np

__all__ = ["option_contrasts"]


def option_contrasts(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal contrasts over the options of one question.

    For ordered options they are the orthogonal polynomials of their positions: QR of the centred Vandermonde matrix
    with the constant dropped, so that row d is the component of degree d + 1 (linear, quadratic, ...). Options
    without a position (NaN: nominal, or pinned outside the order) get contrasts of degree 0 that complete the basis.

    Parameters
    ----------
    positions : array of shape (K,)
        Positions on the scale, NaN where an option has none (`Question.positions`).

    Returns
    -------
    contrasts : float64 array of shape (K - 1, K)
        Orthonormal rows, each orthogonal to the constant.
    degree : int array of shape (K - 1,)
        Polynomial degree of each contrast; 0 for contrasts that know no order.

    Examples
    --------
    >>> import numpy as np
    >>> contrasts, degree = option_contrasts(np.array([1.0, 2.0, 3.0]))
    >>> contrasts.round(3) + 0.0
    array([[-0.707,  0.   ,  0.707],
           [ 0.408, -0.816,  0.408]])
    >>> degree
    array([1, 2])
    """
    positions = np.asarray(positions, dtype=np.float64)
    n_options = len(positions)
    ordered = ~np.isnan(positions)
    n_ordered = int(ordered.sum())
    rows: list[np.ndarray] = []
    degree: list[int] = []
    if n_ordered >= 2:
        scale = positions[ordered]
        # to [-1, 1]: powers of large positions would lose the higher degrees to rounding
        centred = (scale - scale.mean()) / np.abs(scale - scale.mean()).max()
        basis, triangle = np.linalg.qr(np.vander(centred, n_ordered, increasing=True))
        basis = basis * np.sign(np.diag(triangle))
        for d in range(1, n_ordered):
            row = np.zeros(n_options)
            row[ordered] = basis[:, d]
            rows.append(row)
            degree.append(d)
    # what is left of the space orthogonal to the constant: Helmert-like directions of the unordered options
    known = np.array([np.full(n_options, n_options**-0.5), *rows])
    for k in [*np.flatnonzero(~ordered), *np.flatnonzero(ordered)]:
        if len(known) == n_options:
            break
        unit = np.zeros(n_options)
        unit[k] = 1.0
        for _ in range(2):  # twice is enough for orthogonality to machine precision (Kahan's rule)
            unit -= known.T @ (known @ unit)
        norm = np.linalg.norm(unit)
        if norm > 1e-8:
            known = np.vstack([known, unit / norm])
            rows.append(unit / norm)
            degree.append(0)
    return np.array(rows), np.array(degree, dtype=int)
