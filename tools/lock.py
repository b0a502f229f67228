"""What `make` installs, locked: writes requirements/*.txt, and says when they no longer fit pyproject.toml.

``check`` runs with any Python from 3.11 on and nothing installed; ``write`` and ``resolve`` need uv, which make brings.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit(f"surveysim needs Python 3.11 or newer, this is {sys.version.split()[0]}")

ROOT = Path(__file__).parents[1]
# The demo does without the 130 packages of the tests; its versions are theirs. The largest comes first.
LOCKS = {"dev.txt": ("dev", "docs"), "demo.txt": ("survey", "plot")}
RANGE = ("test",)  # the lowest and the newest versions are tried by the tests
OLDEST_PYTHON = "3.11"
HEADER = """\
# Exact versions with hashes, for Python 3.11 and newer: what `make` installs. Written by `make lock`, not by hand.
# torch, and what only its CUDA build needs, is not here: the Makefile chooses it.
# pyproject.toml: {digest}
"""


def digest(root: Path) -> str:
    """Fingerprint of all that the locks are resolved from; other tables, comments and orders do not change it."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    parts = {
        "build": sorted(pyproject["build-system"]["requires"]),
        "python": project["requires-python"],
        "dependencies": sorted(project["dependencies"]),
        "extras": {name: sorted(needs) for name, needs in project["optional-dependencies"].items()},
        "uv": tomllib.loads((root / "requirements" / "uv.toml").read_text(encoding="utf-8")),
    }
    return "sha256:" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def mismatches(root: Path) -> list[str]:
    """Names of the locks that were not made from this pyproject.toml."""
    wanted = f"# pyproject.toml: {digest(root)}"
    files = {name: root / "requirements" / name for name in LOCKS}
    return [
        f"requirements/{name}"
        for name, file in files.items()
        if not file.exists() or wanted not in file.read_text(encoding="utf-8").splitlines()
    ]


def check(root: Path) -> None:
    """End with a message that says how to renew the locks if one does not fit pyproject.toml."""
    if stale := mismatches(root):
        raise SystemExit(
            f"{' and '.join(stale)} does not match pyproject.toml: what it needs has changed since the lock was made.\n"
            "Renew the lock with `make lock` (it asks the package index for the newest versions), then try again."
        )


def write(root: Path) -> None:
    """Resolve every lock anew and, when all are done, write them."""
    with tempfile.TemporaryDirectory() as folder:
        made: dict[str, Path] = {}
        for name, extras in LOCKS.items():
            options = ["--universal", f"--python-version={OLDEST_PYTHON}", "--fork-strategy=fewest"]
            options += ["--generate-hashes", *(f"--constraints={file}" for file in made.values())]
            made[name] = Path(folder) / name
            resolve(root, extras, made[name], options)
        header = HEADER.format(digest=digest(root))
        for name, file in made.items():
            target = root / "requirements" / name
            target.write_text(header + file.read_text(encoding="utf-8"), encoding="utf-8")
            print(f"requirements/{name}: {len(pins(target))} packages")


def resolve(root: Path, extras: tuple[str, ...], output: Path, options: list[str]) -> None:
    """Have uv write the versions that pyproject.toml asks for, and those to build the project with, into a file."""
    from uv import find_uv_bin  # only who renews the lock has it

    build = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    command = [find_uv_bin(), "pip", "compile", "pyproject.toml", "-", "--config-file=requirements/uv.toml"]
    command += [f"--extra={extra}" for extra in extras] + options
    command += ["--only-binary=:all:", "--no-emit-package=torch", "--upgrade"]
    command += ["--no-header", "--no-annotate", "--quiet", f"--output-file={output.resolve()}"]
    subprocess.run(command, cwd=root, input="\n".join(build), text=True, check=True)


def pins(file: Path) -> dict[str, str]:
    """Version of every package that a compiled file names."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", file.read_text(encoding="utf-8"), flags=re.MULTILINE))


def requirement(root: Path, package: str, lowest: bool = False) -> str:
    """What pyproject.toml asks of one dependency, like ``torch>=2.6,<3``; its lowest version alone, ``torch==2.6``."""
    needs = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    [found] = [need for need in needs if re.match(rf"{re.escape(package)}[<>=]", need)]
    return re.sub(r">=([^,]+).*", r"==\1", found) if lowest else found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="do the locks fit pyproject.toml?")
    commands.add_parser("write", help="resolve and write the locks")
    other = commands.add_parser("resolve", help="what pyproject.toml allows, for this Python, outside the locks")
    other.add_argument("resolution", choices=["highest", "lowest-direct"])
    other.add_argument("file", type=Path)
    asked = commands.add_parser("requirement", help="what pyproject.toml asks of a dependency")
    asked.add_argument("package")
    asked.add_argument("--lowest", action="store_true", help="its lowest version alone")
    pin = commands.add_parser("pin", help="the version of a package in a compiled file")
    pin.add_argument("package")
    pin.add_argument("file", type=Path)
    given = parser.parse_args()
    if given.command == "check":
        check(ROOT)
    elif given.command == "write":
        write(ROOT)
    elif given.command == "resolve":
        options = [f"--resolution={given.resolution}", f"--python={sys.executable}"]
        with tempfile.TemporaryDirectory() as folder:
            resolved = Path(folder) / given.file.name
            resolve(ROOT, RANGE, resolved, options)
            if not given.file.exists() or given.file.read_bytes() != resolved.read_bytes():  # make looks at its time
                shutil.copyfile(resolved, given.file)
    elif given.command == "requirement":
        print(requirement(ROOT, given.package, given.lowest))
    else:
        print(pins(given.file)[given.package])


if __name__ == "__main__":
    main()
