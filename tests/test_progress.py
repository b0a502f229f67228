"""Progress is shown to who watches, after two seconds, and to nobody else."""

from __future__ import annotations

import io
import sys
import time

import pytest

from surveysim import progress as module
from surveysim.progress import progress, tell


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, verbose: int | None, seconds: float = 0.0) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(module, "DELAY", 0.2)
    with progress(verbose, total=3, desc="fits", file=stream) as bar:
        time.sleep(seconds)
        for _ in range(3):
            bar.update()
    return stream.getvalue()


def test_a_log_stays_clean_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, io.StringIO(), 0, 0.3) == ""
    assert shown(monkeypatch, io.StringIO(), None, 0.3) == ""
    assert "3/3" in shown(monkeypatch, io.StringIO(), 1)


def test_a_terminal_shows_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, Terminal(), 0) == ""
    assert "fits" in shown(monkeypatch, Terminal(), 0, 0.3)
    assert shown(monkeypatch, Terminal(), -1, 0.3) == ""
    assert "3/3" in shown(monkeypatch, Terminal(), 1)


def test_a_notebook_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = type("Shell", (), {"kernel": object()})()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "IPython", type("IPython", (), {"get_ipython": staticmethod(lambda: shell)}))
    assert module.is_watched()
    monkeypatch.setitem(sys.modules, "IPython", type("IPython", (), {"get_ipython": staticmethod(lambda: None)}))
    assert not module.is_watched()


@pytest.mark.parametrize(
    ("stream", "verbose", "told"),
    [
        (Terminal, 0, True),
        (Terminal, None, True),
        (Terminal, -1, False),
        (io.StringIO, 0, False),
        (io.StringIO, None, False),
        (io.StringIO, 1, True),
    ],
)
def test_a_line_before_long_work_is_told_where_a_bar_would_be_shown(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], verbose: int | None, told: bool
) -> None:
    written = stream()
    monkeypatch.setattr(sys, "stderr", written)
    tell("10 orders", verbose)
    assert written.getvalue() == ("surveysim: 10 orders\n" if told else "")
