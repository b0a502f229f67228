"""Models behind a server that speaks OpenAI's chat protocol; the `openai` client is imported on first use."""

from __future__ import annotations

from surveysim.asking.remote.answerer import RemoteAnswerer
from surveysim.asking.remote.troubles import RemoteError

__all__ = ["RemoteAnswerer", "RemoteError"]
