"""Set-up: what the locks hold, that they fit pyproject.toml, what make does with them, and the range that users get."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import lock

PROJECT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKED = {name: lock.pins(PROJECT / "requirements" / name) for name in lock.LOCKS}
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
USED = [*PYPROJECT["project"]["dependencies"], *EXTRAS["survey"], *EXTRAS["plot"], *EXTRAS["remote"]]
DECLARED = [Requirement(need) for need in {*USED, *EXTRAS["docs"], *EXTRAS["test"], *EXTRAS["dev"]}]
THIRD_PARTY = sorted((need for need in DECLARED if need.name != "surveysim"), key=str)
ONLY_FOR_CUDA = re.compile(r"nvidia|cuda|cudnn|triton")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that set-up reads, in a folder of their own."""
    for name in ("Makefile", "pyproject.toml", "tools/lock.py", "requirements/uv.toml", *lock_files()):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def lock_files() -> list[str]:
    return [f"requirements/{name}" for name in lock.LOCKS]


def lowest_torch() -> str:
    [need] = [need for need in THIRD_PARTY if need.name == "torch"]
    return "torch==" + next(part.version for part in need.specifier if part.operator == ">=")


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


class TestLock:
    def test_matches_pyproject(self):
        assert lock.mismatches(PROJECT) == []

    @pytest.mark.parametrize("name", lock.LOCKS)
    def test_every_package_has_one_exact_version_and_hashes(self, name):
        text = (PROJECT / "requirements" / name).read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        blocks = re.split(r"\n(?=\S)", "\n".join(lines))
        assert len(blocks) == len(LOCKED[name]) > 50
        for block in blocks:
            assert re.fullmatch(r"[a-z0-9-]+==[^\s;]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+", block), block

    @pytest.mark.parametrize("name", lock.LOCKS)
    def test_leaves_torch_to_the_makefile(self, name):
        assert "torch" not in LOCKED[name]
        assert not [package for package in LOCKED[name] if ONLY_FOR_CUDA.search(package)]

    @pytest.mark.parametrize("name", lock.LOCKS)
    def test_holds_what_torch_needs_besides(self, name):
        needs = [Requirement(need) for need in importlib.metadata.requires("torch") or []]
        needs = [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
        needs = [need for need in needs if not ONLY_FOR_CUDA.search(need.name)]
        assert "filelock" in [need.name for need in needs]
        for need in needs:
            assert need.specifier.contains(LOCKED[name][canonicalize_name(need.name)]), need

    def test_holds_what_builds_the_project(self):
        for need in map(Requirement, PYPROJECT["build-system"]["requires"]):
            for pins in LOCKED.values():
                assert need.specifier.contains(pins[need.name])

    def test_every_version_is_in_the_declared_range(self):
        for need in THIRD_PARTY:
            if need.name != "torch":
                assert need.specifier.contains(LOCKED["dev.txt"][canonicalize_name(need.name)]), need

    def test_the_demo_has_the_versions_of_the_tests(self):
        assert LOCKED["demo.txt"].items() < LOCKED["dev.txt"].items()


class TestMismatch:
    @pytest.mark.parametrize(
        ("file", "old", "new"),
        [
            ("pyproject.toml", '"tqdm>=', '"rich>=13", "tqdm>='),
            ("pyproject.toml", '"transformers>=5.0,<6"', '"transformers>=5.1,<6"'),
            ("pyproject.toml", 'plot = ["', 'plot = ["seaborn>=0.13", "'),
            ("pyproject.toml", 'requires-python = ">=3.11"', 'requires-python = ">=3.12"'),
            ("pyproject.toml", 'requires = ["setuptools', 'requires = ["wheel", "setuptools'),
            ("requirements/uv.toml", '"jinja2"', '"jinja2>=3"'),
        ],
    )
    def test_is_told(self, clone, file, old, new):
        change(clone / file, old, new)
        assert lock.mismatches(clone) == lock_files()
        with pytest.raises(SystemExit, match=r"does not match pyproject\.toml(.|\n)*Renew the lock with `make lock`"):
            lock.check(clone)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('description = "', 'description = "new: '),
            ('python_version = "3.11"', 'python_version = "3.12"'),
            ("line-length = 120", "line-length = 100"),
            ("dependencies = [\n", "dependencies = [\n  # a comment\n"),
            ('"safetensors>=0.4.5,<1",\n  "joblib>=1.4,<2",\n', '"joblib>=1.4,<2",\n  "safetensors>=0.4.5,<1",\n'),
        ],
    )
    def test_is_not_told_where_nothing_that_is_needed_changed(self, clone, old, new):
        change(clone / "pyproject.toml", old, new)
        lock.check(clone)

    def test_of_one_lock_alone_names_it(self, clone):
        change(clone / "requirements" / "demo.txt", "sha256:", "sha256:0")
        with pytest.raises(SystemExit, match=r"^requirements/demo\.txt does not match"):
            lock.check(clone)

    def test_a_missing_lock_is_one(self, clone):
        (clone / "requirements" / "dev.txt").unlink()
        assert lock.mismatches(clone) == ["requirements/dev.txt"]

    def test_is_told_by_a_python_without_packages(self, clone):
        command = [sys.executable, "-I", "-S", "tools/lock.py", "check"]
        assert subprocess.run(command, cwd=clone, capture_output=True).returncode == 0
        change(clone / "pyproject.toml", '"tqdm>=', '"rich>=13", "tqdm>=')
        refused = subprocess.run(command, cwd=clone, capture_output=True, text=True)
        assert refused.returncode == 1
        assert "make lock" in refused.stderr


class TestMake:
    """Set-up by make, with a stand-in for Python that notes what it is asked, so that nothing is installed."""

    @pytest.fixture
    def make(self, clone):
        stand_in = clone / "python"
        stand_in.write_text(
            f'#!/bin/sh\necho "$*" >> {clone}/asked\n'
            'case "$*" in\n'
            f'  "tools/lock.py resolve "*) cmp -s {clone}/newest "$4" || cp {clone}/newest "$4" ;;\n'
            f'  tools/lock.py*) exec "{sys.executable}" -I -S "$@" ;;\n'
            f'  "-m venv "*) mkdir -p "$3/bin"; cp {stand_in} "$3/bin/python" ;;\n'
            f"  *requirements/*) test ! -e {clone}/broken ;;\n"
            "esac\n"
        )
        (clone / "newest").write_text("transformers==5.99\n")
        stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)

        def run(*targets: str, works: bool = True, TORCH: str = "torch==2.13.0") -> tuple[str, list[str]]:
            asked = clone / "asked"
            asked.write_text("")
            environment = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
            command = ["make", *targets, f"PYTHON={stand_in}", "VENV=.venv", f"TORCH={TORCH}"]
            done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
            assert (done.returncode == 0) == works, done.stdout + done.stderr
            return done.stdout + done.stderr, asked.read_text().splitlines()

        return run

    @pytest.mark.parametrize(("target", "file"), [("demo", "demo"), ("test", "dev"), ("docs", "dev"), ("check", "dev")])
    def test_installs_the_lock_with_hashes_before_all_else(self, make, clone, target, file):
        stamp = {"demo": ".venv/.demo"}.get(target, ".venv/.dev")
        assert stamp in (PROJECT / "Makefile").read_text().replace("$(VENV)", ".venv").split(f"\n{target}:")[1]
        _, asked = make(stamp)
        installs = [line for line in asked if " install " in line]
        assert re.search(rf"--no-deps --only-binary :all: --require-hashes -r requirements/{file}\.txt$", installs[0])
        assert installs[1].endswith(" install torch==2.13.0")
        assert installs[2].endswith(" install --no-deps --no-build-isolation -e .")
        assert len(installs) == 3

    def test_refuses_a_lock_that_does_not_match_and_touches_nothing(self, make, clone):
        change(clone / "pyproject.toml", '"tqdm>=', '"rich>=13", "tqdm>=')
        said, asked = make(".venv/.demo", works=False)
        assert "Renew the lock with `make lock`" in said
        assert asked == ["tools/lock.py check"]
        assert not (clone / ".venv").exists()

    @pytest.mark.parametrize("changed", ["requirements/demo.txt", "Makefile", "pyproject.toml"])
    def test_sets_up_once_and_again_when_a_file_has_changed(self, make, clone, changed):
        make(".venv/.demo")
        assert make(".venv/.demo")[1] == []
        os.utime(clone / changed, (2e9, 2e9))
        assert any("--require-hashes" in line for line in make(".venv/.demo")[1])

    def test_an_interrupted_set_up_is_not_taken_for_whole(self, make, clone):
        (clone / "broken").touch()
        make(".venv/.demo", works=False)
        (clone / ".venv" / "half").touch()
        (clone / "broken").unlink()
        said, asked = make(".venv/.demo")
        assert ".venv was left unfinished: it is made anew" in said
        assert any("--require-hashes" in line for line in asked)
        assert not (clone / ".venv" / "half").exists()
        assert make(".venv/.demo")[1] == []

    def test_the_lowest_versions_have_an_environment_of_their_own(self, make, clone):
        _, asked = make("test-lowest", "ROOMS=tests/metrics", TORCH="")
        assert "tools/lock.py resolve lowest-direct .venv-uv/lowest.txt" in asked
        installs = [line for line in asked if " install " in line]
        assert installs[1].endswith(" --no-deps --only-binary :all: -r .venv-uv/lowest.txt")
        assert f" {lowest_torch()}" in installs[2]
        assert asked[-1].endswith("-m not slow tests/metrics")
        assert (clone / ".venv-lowest" / ".done").exists()
        assert not (clone / ".venv").exists()

    def test_the_newest_versions_are_looked_up_always_and_installed_when_there_are_newer_ones(self, make, clone):
        make("test-newest")
        (clone / ".venv-newest" / "old").touch()
        _, asked = make("test-newest")
        assert "tools/lock.py resolve highest .venv-uv/newest.txt" in asked
        assert not [line for line in asked if " install " in line]
        (clone / "newest").write_text("transformers==5.100\n")
        os.utime(clone / ".venv-newest" / ".done", (1e9, 1e9))
        _, asked = make("test-newest")
        assert any(line.endswith(" -r .venv-uv/newest.txt") for line in asked)
        assert not (clone / ".venv-newest" / "old").exists()

    @pytest.mark.parametrize(
        "target",
        ["demo", "test", "test-fast", "test-lowest", "test-newest", "coverage", "check", "docs", "lock", "clean"],
    )
    def test_helps(self, make, target):
        said, _ = make("help")
        assert re.search(rf"^{target}\s+\S", said, flags=re.MULTILINE)


class TestRange:
    @pytest.mark.parametrize("need", THIRD_PARTY, ids=str)
    def test_has_a_lowest_version(self, need):
        assert {part.operator for part in need.specifier} & {">=", "=="}

    @pytest.mark.parametrize("need", [need for need in map(Requirement, USED) if need.name != "tqdm"], ids=str)
    def test_ends_before_the_next_major_version(self, need):
        lowest, above = sorted(need.specifier, key=lambda part: part.operator, reverse=True)
        assert (lowest.operator, above.operator) == (">=", "<")
        newest = importlib.metadata.version("torch") if need.name == "torch" else LOCKED["dev.txt"][need.name]
        assert above.version == str(int(newest.split(".")[0]) + 1)

    def test_every_python_from_the_first_to_the_last_is_named(self):
        named = re.findall(r"Python :: (3\.\d+)", "\n".join(PYPROJECT["project"]["classifiers"]))
        assert named == ["3.11", "3.12", "3.13", "3.14"]
        assert PYPROJECT["project"]["requires-python"] == f">={lock.OLDEST_PYTHON}" == f">={named[0]}"


def test_integration_runs_the_lock_and_rooms_that_exist():
    script = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    assert "\nmake check test\n" in script
    [rooms] = re.findall(r'^ROOMS="(.*)"$', script, flags=re.MULTILINE)
    assert [room for room in rooms.split() if not list((PROJECT / room).glob("test_*.py"))] == []
