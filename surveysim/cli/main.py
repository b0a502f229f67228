"""The arguments of the command line, and what happens when something is wrong."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from surveysim.cli.describe import describe
from surveysim.cli.estimate import estimate
from surveysim.version import __version__

__all__ = ["main"]

WRONG, MISSING_FILE, MISSING_PACKAGE, STOPPED = 2, 3, 4, 130
"""Exit codes: something that was asked for cannot be (as argparse's own), no such file, a package is not installed,
Ctrl-C."""

EPILOG = """examples:
  surveysim describe survey.sav
  surveysim estimate survey.sav --question trust --by gender --by age,gender --out table.csv --picture trust.png
  surveysim estimate survey.csv --question vote --by region --model nano --report report.html

Exit codes: 0 done; 2 something that was asked for cannot be; 3 no such file; 4 a package is not installed.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        Default: those of the process.

    Returns
    -------
    int
        The exit code.
    """
    parser = _parser()
    chosen = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        if not sys.warnoptions:
            warnings.simplefilter("always", UserWarning)
        try:
            chosen.run(chosen)
            return 0
        except BrokenPipeError:  # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except FileNotFoundError as error:
            return _fail(str(error), MISSING_FILE)
        except ImportError as error:
            return _fail(str(error), MISSING_PACKAGE)
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            return _fail(str(error), WRONG)
        except KeyboardInterrupt:
            return _fail("stopped", STOPPED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="surveysim",
        description="From a survey file to estimates by group, with intervals.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"surveysim {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="{describe,estimate}")
    _add_describe(commands)
    _add_estimate(commands)
    return parser


def _add_file(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="SPSS, Stata, SAS, CSV or Parquet")
    command.add_argument("--weights", metavar="COLUMN", help="the survey weight; 'none' for none; default: recognised")
    command.add_argument("--encoding", help="encoding of the file's text, if the file does not say")
    command.add_argument(
        "--missing",
        metavar="CODE",
        action="append",
        default=[],
        help="a code that does not stand for an answer; may be repeated",
    )


def _add_describe(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "describe", help="show what was understood of a file: questions, backgrounds, weights and doubts"
    )
    _add_file(command)
    command.add_argument("--all", action="store_true", help="list every variable, including those that are not used")
    command.set_defaults(run=describe)


def _add_estimate(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("estimate", help="estimates by group as a table, a picture or a report")
    _add_file(command)
    command.add_argument(
        "--question", metavar="Q", action="append", required=True, help="a variable of the file; may be repeated"
    )
    command.add_argument(
        "--by", metavar="A[,B]", action="append", default=[],
        help="an attribute, or several with commas for their combinations; may be repeated; default: everybody",
    )  # fmt: skip
    command.add_argument(
        "--backgrounds", metavar="A,B", default="",
        help="attributes that a model uses beside those of --by (with --population: all of them)",
    )  # fmt: skip
    command.add_argument(
        "--model", default="logit",
        help="logit (default): a statistical model, no language model; sample: the sample's own shares; nano, a folder "
        "or a name on the Hugging Face hub: a language model fine-tuned to the sample",
    )  # fmt: skip
    command.add_argument("--level", type=float, default=0.9, help="level of the intervals; default 0.9")
    command.add_argument("--population", metavar="CSV", help="joint shares: the backgrounds and 'share' or 'n'")
    command.add_argument("--mean", action="store_true", help="means on the question's scale instead of shares")
    command.add_argument("--difference", metavar="A", help="differences between the levels of an attribute")
    command.add_argument("--out", metavar="TABLE", help=".csv (tidy), .md or .html; default: printed")
    command.add_argument("--picture", metavar="IMAGE", help=".png, .svg or .pdf")
    command.add_argument("--report", metavar="HTML", help="one page with tables, pictures and what they rest on")
    command.add_argument("--decimals", type=int, default=0, help="of percentages in tables and reports; default 0")
    command.add_argument("--seed", type=int, default=0, help="seed of everything random; default 0")
    command.set_defaults(run=estimate)


def _fail(message: str, code: int) -> int:
    print(f"surveysim: error: {message}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """A warning without its place in the code, which means nothing on a command line."""
    print(f"surveysim: note: {message}", file=sys.stderr)
