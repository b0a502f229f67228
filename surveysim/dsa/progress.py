"""A progress bar over epochs."""

from __future__ import annotations

from surveysim.progress import progress

__all__ = ["EpochBar"]


class EpochBar:
    """Counts epochs and says what the current one belongs to; a context manager.

    Parameters
    ----------
    verbose : int
        0: shown in a terminal or notebook after two seconds; 1: always; -1: never.
    """

    def __init__(self, verbose: int) -> None:
        self._bar = progress(verbose, desc="fit", unit=" epochs", bar_format="{desc} [{n_fmt} epochs, {elapsed}]")

    def __enter__(self) -> EpochBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def epoch(self, text: str) -> None:
        """One more epoch, described by `text`."""
        self._bar.set_description_str(text, refresh=False)
        self._bar.update()
