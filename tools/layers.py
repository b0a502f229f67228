"""Draws docs/images/layers.svg from the storeys that tests/test_rooms.py holds: ``python -m tools.layers``."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from tests.test_rooms import ORDER, PACKAGE

FORWARDING = {"__main__", "recorded", "similarity", "surveysim"}
"""Names that only hand on what lives elsewhere."""

WIDTH, MARGIN, ROOM_HEIGHT, GAP = 920, 10, 34, 8


def imports_torch(room: str) -> bool:
    """Whether a room's files import torch as they are loaded."""
    place = PACKAGE / room
    files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    return any("\nimport torch" in file.read_text(encoding="utf-8") for file in files)


def draw() -> str:
    """The storeys from top to bottom, a box for each room; those that import torch are red."""
    storeys = [sorted(rooms - FORWARDING) for rooms in ORDER if rooms - FORWARDING][::-1]
    height = MARGIN + len(storeys) * (ROOM_HEIGHT + GAP + 8) + 26
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" role="img" '
        'aria-label="The rooms of surveysim in storeys; imports point down only">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    y = MARGIN
    for rooms in storeys:
        lines.append(
            f'<rect x="{MARGIN}" y="{y}" width="{WIDTH - 2 * MARGIN}" height="{ROOM_HEIGHT + 8}" rx="6" '
            'fill="#eef2f7"/>'
        )
        width = min(200.0, (WIDTH - 2 * MARGIN - GAP) / len(rooms) - GAP)
        x = (WIDTH - len(rooms) * (width + GAP) + GAP) / 2
        for room in rooms:
            color = "#c2255c" if imports_torch(room) else "#0b6bcb"
            lines += [
                f'<rect x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="{ROOM_HEIGHT}" rx="5" fill="white" '
                f'stroke="{color}" stroke-width="1.4"/>',
                f'<text x="{x + width / 2:.1f}" y="{y + 26}" font-size="13" font-weight="bold" text-anchor="middle" '
                f'fill="#22272e">{escape(room)}</text>',
            ]
            x += width + GAP
        y += ROOM_HEIGHT + GAP + 8
    lines.append(
        f'<text x="{MARGIN}" y="{y + 14}" font-size="12" fill="#57606a">Imports point down only. Red: torch is '
        "imported there when the room is first used.</text>"
    )
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    target = Path(__file__).resolve().parents[1] / "docs" / "images" / "layers.svg"
    target.write_text(draw(), encoding="utf-8")
    print(target)
