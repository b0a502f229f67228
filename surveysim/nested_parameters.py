"""Parameters of parts that stand for themselves by default: ``set_params(base__prior="eb")`` with ``base=None``."""

from __future__ import annotations

from typing import Self

from surveysim.interfaces import Estimator

__all__ = ["NestedParameters"]


class NestedParameters:
    """Mixin: parameters of a part can be set, and searched, even if the part itself was left at its default."""

    def _default_part(self, name: str, value: object) -> Estimator | None:
        """What the parameter's value stands for, as an object with its own parameters; None if it stands for none."""
        return None

    def set_params(self, **params: object) -> Self:
        """Set parameters of this estimator, or of its parts.

        Parameters
        ----------
        **params : dict
            Names of parameters, or ``part__parameter``. A part that is left at its default (None, or a name) becomes
            the estimator that the default stands for.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no such parameter, or the part has none.
        """
        own = self.get_params(deep=False)  # type: ignore[attr-defined]
        made = {}
        for key in params:
            name, _, rest = key.partition("__")
            value = params.get(name, own.get(name))
            if not rest or name not in own or name in made or hasattr(value, "set_params"):
                continue
            part = self._default_part(name, value)
            if part is None:
                raise ValueError(
                    f"{key!r} cannot be set: {name}={value!r} of {type(self).__name__} is not an estimator with "
                    "parameters of its own"
                )
            made[name] = part
        return super().set_params(**{**params, **made})  # type: ignore[misc]
