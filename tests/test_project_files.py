"""Files for contributors, what a release holds and shows, and the one place of the version."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import surveysim
from tools import lock

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
RELATIVE = re.compile(r"\]\((?!https?:|#)")


@pytest.fixture(scope="module")
def setup_file() -> ModuleType:
    spec = importlib.util.spec_from_file_location("surveysim_setup", PROJECT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestReadmeOnTheIndex:
    TEXT = (
        "See [docs/a.md](docs/a.md), [the paper](https://arxiv.org/abs/1) and [below](#x).\n\n![A plot](docs/p.png)\n"
    )

    def test_without_a_repository_has_no_path(self, setup_file: ModuleType) -> None:
        expected = "See docs/a.md, [the paper](https://arxiv.org/abs/1) and [below](#x).\n\n"
        assert setup_file.index_readme(self.TEXT, None) == expected

    def test_with_one_has_addresses(self, setup_file: ModuleType) -> None:
        found = setup_file.index_readme(self.TEXT, "https://example.org/s")
        assert "[docs/a.md](https://example.org/s/blob/main/docs/a.md)" in found
        assert "![A plot](https://example.org/s/raw/main/docs/p.png)" in found
        assert "[below](#x)" in found

    def test_holds_for_the_readme(self, setup_file: ModuleType) -> None:
        assert RELATIVE.search(README)  # else there is nothing to do
        for repository in (None, "https://example.org/s"):
            assert not RELATIVE.search(setup_file.index_readme(README, repository))


def test_the_source_distribution_can_be_tested_and_documented(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    left_out = shutil.ignore_patterns(
        ".*",
        "_build",
        "generated",
        "gallery",
        "tutorial",
        "output",
        "runs",
        "build",
        "dist",
        "*.egg-info",
        "*.safetensors",
    )
    tree = tmp_path / "tree"
    shutil.copytree(PROJECT, tree, ignore=left_out)
    code = "from setuptools.build_meta import build_sdist; print(build_sdist('dist'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next((tree / "dist").glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for wanted in (
        "docs/conf.py", "docs/index.md", "docs/inventories/sklearn.inv", "docs/images/demo.png", "tests/conftest.py",
        "tests/datasets/labels/answers.tsv", "requirements/dev.txt", "tools/lock.py", "examples/demo.py", "Makefile",
        "CHANGELOG.md", "CONTRIBUTING.md", "surveysim/datasets/surveys/ess.toml", "benchmarks/baselines.py",
    ):  # fmt: skip
        assert wanted in names, wanted
    assert not [name for name in names if "__pycache__" in name]


class TestVersion:
    def test_is_written_in_one_place(self) -> None:
        pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
        assert "version" in pyproject["project"]["dynamic"]
        assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "surveysim.version.__version__"}
        for name in ("README.md", "CITATION.cff", "docs/conf.py", "setup.py", "pyproject.toml"):
            text = re.sub(r"[>=]=[\d.]+", "", (PROJECT / name).read_text(encoding="utf-8"))
            assert surveysim.__version__ not in text, name

    def test_heads_the_changelog(self) -> None:
        changelog = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
        heads = re.findall(r"^## \[(.+?)\]", changelog, flags=re.MULTILINE)
        assert heads[0] in (surveysim.__version__, "Unreleased")


def test_hooks_have_the_versions_of_the_lock() -> None:
    text = (PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"repo: \S+/([a-z]+)(?:-pre-commit)?\n    rev: v(\S+)", text))
    locked = lock.pins(PROJECT / "requirements" / "dev.txt")
    assert pinned == {name: locked[name] for name in ("ruff", "codespell", "numpydoc")}


def test_workflow_runs_targets_that_exist() -> None:
    text = (PROJECT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    text = text.replace("test-${{ matrix.versions }}", "test-lowest test-newest")
    named = set(
        re.findall(r"\b(check|docs|coverage|test(?:-[a-z]+)?)\b", " ".join(re.findall(r"run: make (.*)", text)))
    )
    targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {"check", "test", "test-lowest", "test-newest", "docs", "coverage"} == named <= set(targets)
    assert set(re.findall(r'python: \["(3\.\d+)", "(3\.\d+)"\]', text)) == {("3.11", "3.14")}


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "docs/development.md", "README.md"])
def test_files_that_contributors_are_sent_to_exist(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    for path in re.findall(r"`((?:surveysim|docs|tests|tools|examples|benchmarks|requirements)/[\w/.-]+)`", text):
        assert (PROJECT / path).exists(), path


def test_each_contribution_has_five_steps() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    parts = re.findall(r"^## A new (\w+), in five steps\n(.*?)(?=^## )", text, flags=re.MULTILINE | re.DOTALL)
    assert [name for name, _ in parts] == ["estimator", "metric", "reader", "language"]
    for name, part in parts:
        assert re.findall(r"^(\d)\. ", part, flags=re.MULTILINE) == list("12345"), name
