"""Models behind a server that speaks OpenAI's chat protocol; the `openai` client is imported when one is asked."""

from __future__ import annotations

from surveysim.models.remote.respondent import RemoteRespondent
from surveysim.models.remote.troubles import RemoteError

__all__ = ["RemoteError", "RemoteRespondent"]
