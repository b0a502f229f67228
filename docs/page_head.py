"""What search engines and social networks read of a page: a description from its text, a title and a picture."""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes

LONGEST = 200
CARD = "_static/card.png"
FALLBACK = "scikit-learn estimators of survey answers in groups, with language models and honest baselines."


def describe(doctree: nodes.document | None) -> str:
    """The first paragraph that is not a note, a table or a caption, cut at a word."""
    paragraphs = [] if doctree is None else doctree.findall(nodes.paragraph)
    for paragraph in paragraphs:
        if isinstance(paragraph.parent, nodes.section | nodes.document):
            text = " ".join(paragraph.astext().split())
            if len(text) > 40:
                return (
                    text
                    if len(text) <= LONGEST
                    else text[:LONGEST].rpartition(" ")[0] + " ..."
                )
    return FALLBACK


def add_tags(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Tags for the head of a page; a description of its own (myst: html_meta) stays."""
    tags = context.get("metatags", "")
    text = html.escape(describe(doctree))
    title = html.escape(nodes.unescape(context.get("title", "")) or app.config.project)
    base = (app.config.html_baseurl or "").rstrip("/")
    card = f"{base}/{CARD}" if base else context["pathto"](CARD, resource=True)
    named = {
        "og:type": "website",
        "og:site_name": app.config.project,
        "og:title": title,
        "og:description": text,
    }
    named |= {
        "og:image": card,
        "og:image:alt": "Shares of answers by group, with intervals",
    }
    if 'name="description"' not in tags:
        tags += f'<meta name="description" content="{text}" />\n'
    tags += "".join(
        f'<meta property="{name}" content="{value}" />\n'
        for name, value in named.items()
    )
    context["metatags"] = (
        tags + '<meta name="twitter:card" content="summary_large_image" />\n'
    )


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", add_tags)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
