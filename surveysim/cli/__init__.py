"""The command line, a thin layer over the library: ``surveysim describe FILE``, ``surveysim estimate FILE ...``."""

from surveysim.cli.main import main

__all__ = ["main"]
