"""The plan of the house: imports point down only, no file is too long, and no two rooms need each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "surveysim"

LONGEST = 400

MOST_ANY = 87
"""Parameters typed `Any`: a type checker and a reader learn nothing from it. What remains is handed through as it came
(``**parameters``), of scikit-learn's or a library's own that has no types, or checked by hand. It never rises."""

MOST_ANY_WITHIN = 62
"""Parameters whose type has `Any` as a part, such as ``Mapping[str, Any]``: decoded files, parameters by name."""

ORDER = [
    {"interfaces"},
    {
        "errors",
        "fitted_parameters",
        "nested_parameters",
        "option_columns",
        "plain_state",
        "progress",
        "trusted",
        "version",
    },
    {"questions", "distributions", "contrasts", "level_order", "levels", "parameters"},
    {"bare_arrays", "cells"},
    {"respondents", "saving"},
    {"validation"},
    {"metrics"},
    {"base"},
    {"tables"},
    {"datasets", "prompts", "inference"},
    {"models"},
    {"asking", "trunk", "baselines"},
    {"bank"},
    {"elicitation", "sources"},
    {"calibration", "fusion"},
    {"dsa"},
    {"evaluation", "bank_training"},
    {"loading", "reporting"},
    {"cli"},
    {"__main__"},
    {"recorded", "similarity", "surveysim"},
]
"""Rooms from bottom to top; those of one storey do not know each other. The last three only hand on names."""

STOREY = {room: number for number, rooms in enumerate(ORDER) for room in rooms}


def rooms() -> dict[str, list[Path]]:
    """The files of each room."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.setdefault("surveysim" if parts[0] == "__init__" else parts[0], []).append(path)
    return found


def imports(path: Path) -> list[tuple[str, int]]:
    """The rooms that a file imports from, with the line; in functions, too, and for types."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "surveysim":
            found += [(alias.name if alias.name in STOREY else "surveysim", node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("surveysim."):
            found.append((str(node.module).split(".")[1], node.lineno))
        elif isinstance(node, ast.Import):
            found += [
                ([*alias.name.split("."), "surveysim"][1], node.lineno)
                for alias in node.names
                if alias.name.split(".")[0] == "surveysim"
            ]
    return found


def test_every_room_has_its_storey():
    assert rooms().keys() == STOREY.keys()


@pytest.mark.parametrize("room", sorted(STOREY))
def test_imports_point_down(room):
    upward = [
        f"{path.relative_to(PACKAGE)}:{line} imports {other}"
        for path in rooms().get(room, [])
        for other, line in imports(path)
        if other != room and STOREY[other] >= STOREY[room]
    ]
    assert upward == []


def test_no_file_is_longer_than_a_reader_holds():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {str(path.relative_to(PACKAGE)): n for path, n in lengths.items() if n > LONGEST} == {}


def test_parameters_say_what_they_are():
    alone: list[str] = []
    within: list[str] = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.arguments):
                continue
            for given in (*node.posonlyargs, *node.args, *node.kwonlyargs, node.vararg, node.kwarg):
                if given is None or given.annotation is None:
                    continue
                named = list(ast.walk(given.annotation))
                if any(isinstance(part, ast.Name) and part.id == "Any" for part in named):
                    place = f"{path.relative_to(PACKAGE)}:{given.lineno} {given.arg}"
                    (alone if len(named) == 2 else within).append(place)  # the name and how it is used
    assert len(alone) <= MOST_ANY, alone
    assert len(within) <= MOST_ANY_WITHIN, within


def test_no_two_modules_import_each_other():
    """Imports at the top of files and within functions, followed as far as they lead."""
    edges: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("surveysim", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        if path.name == "__init__.py":
            continue  # hands on names
        edges[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("surveysim"):
                edges[name].add(node.module)
                edges[name] |= {f"{node.module}.{alias.name}" for alias in node.names}
    seen: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if seen.get(module):
            return
        for other in sorted(edges[module] & edges.keys()):
            visit(other, (*path, module))
        seen[module] = 1

    for module in sorted(edges):
        visit(module, ())
