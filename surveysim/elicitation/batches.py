"""`ElicitationBatch`: large elicitations through a server's batch endpoint, at half the price and within a day."""

from __future__ import annotations

import os

from surveysim.asking.asks import Ask
from surveysim.asking.journal import Journal
from surveysim.asking.remote.answerer import RemoteAnswerer
from surveysim.asking.remote.batches import BatchFolder, BatchStatus
from surveysim.elicitation.zero_shot import ZeroShotElicitor
from surveysim.interfaces import Table

__all__ = ["ElicitationBatch"]


class ElicitationBatch:
    """Ask what an elicitor would ask, through files that a server answers within a day.

    ``write``, ``submit`` and ``collect`` may each be called again, from any process: they do what is left to do. When
    all is collected the elicitor's own ``elicit`` finds the answers in its journal, and asks for what failed.

    Parameters
    ----------
    elicitor : ZeroShotElicitor or SimilarityElicitor
        Fitted, for a model behind a server, with a `journal`.
    X : DataFrame or array
        As for ``elicit``.
    folder : path
        Where the files of requests and their state are kept. They hold the prompts, and no keys.

    Examples
    --------
    >>> import tempfile, os
    >>> import pandas as pd
    >>> from surveysim import Question, ZeroShotElicitor
    >>> from surveysim.elicitation import ElicitationBatch
    >>> folder = tempfile.TemporaryDirectory()
    >>> X = pd.DataFrame({"age": ["18-29", "65+"]})
    >>> elicitor = ZeroShotElicitor(
    ...     "openai:gpt-4o-mini",
    ...     question=Question("Content?", ["yes", "no"]),
    ...     journal=os.path.join(folder.name, "answers.sqlite"),
    ... ).fit(X)
    >>> batch = ElicitationBatch(elicitor, X, os.path.join(folder.name, "batch"))
    >>> batch.write()  # then batch.submit(), and batch.collect() until it is done
    8
    >>> batch.close()
    >>> folder.cleanup()
    """

    def __init__(self, elicitor: ZeroShotElicitor, X: Table, folder: str | os.PathLike[str]) -> None:
        asked = elicitor._asked_model()
        if not asked.is_remote or asked.journal is None:
            raise ValueError(
                "a batch needs an elicitor for a model behind a server (model='openai:NAME') with a journal=, which "
                "takes the answers"
            )
        asked.check()
        answerer = asked.server()
        assert isinstance(answerer, RemoteAnswerer)
        self._asks: list[Ask] = elicitor._asks_of(X, answerer)
        self.journal = Journal(asked.journal)
        self._folder = BatchFolder(answerer, self.journal, folder)

    def write(self) -> int:
        """Write files of requests for what is neither in the journal nor under way; return the number of requests."""
        return self._folder.write(self._asks)

    def submit(self) -> list[str]:
        """Submit the files that the server does not have yet, and return the ids of all jobs."""
        return self._folder.submit()

    def collect(self) -> BatchStatus:
        """Put the answers that the server has into the journal, and return where the batch stands."""
        return self._folder.collect(self._asks)

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()
