"""How the report looks: one style sheet for screens, light and dark, and for paper."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #22272e; --soft: #57606a; --line: #d0d7de; --page: #ffffff; --shade: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --soft: #9da7b3; --line: #3d444d; --page: #14181d; --shade: #1d232a; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .4em 0 .3em; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2em 0 .5em; padding-top: .6em; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6em 0 .4em; }
p, li { max-width: 46rem; overflow-wrap: break-word; }
.lead { font-size: 1.08rem; }
.soft, caption { color: var(--soft); }
.wide { overflow-x: auto; margin: .6em 0 1.2em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; padding: 0 0 .4em; font-size: .9rem; }
th, td { padding: .28em .7em; text-align: right; vertical-align: baseline; border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; min-width: 4.6em; max-width: 11em; font-weight: 600; }
.label { text-align: left; font-weight: 500; min-width: 9em; max-width: 18em; }
thead .label { font-weight: 600; }
.text td { text-align: left; }
.interval { display: block; font-size: .8rem; color: var(--soft); white-space: nowrap; }
figure { margin: 1em 0; }
figure svg { display: block; width: 100%; height: auto; min-width: 40rem; }
blockquote { margin: 1em 0; padding: .8em 1.1em; background: var(--shade); border-left: 4px solid var(--line);
  border-radius: 4px; }
blockquote p { margin: .4em 0; }
code { font-size: .92em; }
footer { margin-top: 3em; font-size: .88rem; color: var(--soft); }
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --page: #fff; --shade: #f4f4f4; }
  main { max-width: none; padding: 0; }
  body { font-size: 10pt; }
  .wide { overflow: visible; }
  figure svg { min-width: 0; }
  table { font-size: 8.5pt; }
  th, td { padding: .2em .4em; }
  figure, tr, thead, blockquote { break-inside: avoid; }
  caption, thead { break-after: avoid; }
  h2, h3 { break-after: avoid; }
}
"""
