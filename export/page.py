"""A report as sections of text, tables and pictures, printed as Markdown or as one HTML file that needs no network.

It knows nothing of what is told. A text may hold **bold** and `code`, in both forms.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5b6876; --line: #d9dee4; --row: #f5f7f9; --page: #fff;
  --accent: #1f6fb4 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #9aa7b4; --line: #38424d; --row: #1d242b;
  --page: #14191e; --accent: #6fb1e8 } }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 76rem; margin: 2.5rem auto; padding: 0 1.2rem;
  color: var(--ink); background: var(--page) }
h1 { font-size: 1.75rem; line-height: 1.25; margin-bottom: .4rem }
h2 { font-size: 1.2rem; margin: 2.8rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line) }
p { max-width: 52rem } li { max-width: 50rem; margin: .25rem 0 } code { font-size: .92em }
.table { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .38rem .75rem; text-align: right; white-space: nowrap; vertical-align: top }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 11rem; position: sticky; left: 0;
  background: var(--page) }
thead th { border-bottom: 2px solid var(--accent) } tbody tr + tr td { border-top: 1px solid var(--line) }
tbody tr:nth-child(even) td { background: var(--row) }
figure { margin: 1.4rem 0 } img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; padding: 4px }
figcaption { color: var(--soft); font-size: .9rem; max-width: 52rem; margin-top: .3rem }
"""


@dataclass(frozen=True)
class Table:
    """A head and rows of cells; the first column is names, the others are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A PNG beside the report, and what to see in it."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, in this order: paragraphs, a list, tables, pictures."""

    title: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = field(default_factory=tuple)


def to_markdown(title: str, sections: Sequence[Section]) -> str:
    """With pictures by their names."""
    parts = [f"# {title}"]
    for section in sections:
        parts += [f"## {section.title}"] if section.title else []
        parts += section.paragraphs
        parts += ["\n".join(f"- {point}" for point in section.points)] if section.points else []
        parts += [_markdown_table(table) for table in section.tables]
        parts += [f"![{picture.caption}]({picture.path.name})" for picture in section.pictures]
    return "\n\n".join(parts) + "\n"


def to_html(title: str, sections: Sequence[Section]) -> str:
    """With pictures inside."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>",
    ]
    for section in sections:
        parts += [f"<h2>{html.escape(section.title)}</h2>"] if section.title else []
        parts += [f"<p>{_inline(text)}</p>" for text in section.paragraphs]
        if section.points:
            parts.append("<ul>" + "".join(f"<li>{_inline(point)}</li>" for point in section.points) + "</ul>")
        parts += [_html_table(table) for table in section.tables]
        parts += [_figure(picture) for picture in section.pictures]
    return "\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(table.head), line(["---", *["---:"] * (len(table.head) - 1)]), *map(line, table.rows)])


def _html_table(table: Table) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{_inline(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in table.rows)
    return f"<div class=table><table><thead>{line(table.head, 'th')}</thead><tbody>{body}</tbody></table></div>"


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.path.read_bytes()).decode()
    alt = html.escape(picture.caption.replace("**", "").replace("`", ""))
    image = f'<img src="data:image/png;base64,{data}" alt="{alt}">'
    return f"<figure>{image}<figcaption>{_inline(picture.caption)}</figcaption></figure>"


def _inline(text: str) -> str:
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", escaped)
