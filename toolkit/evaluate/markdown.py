"""The little Markdown that training cards are written in, as HTML: headings, tables, lists, code and paragraphs, all escaped."""

from __future__ import annotations

import re

from toolkit.evaluate.page import escape, table

CODE = re.compile(r"`([^`]+)`")
STRONG = re.compile(r"\*\*([^*]+)\*\*")


def to_html(text: str, level: int = 3) -> str:
    """HTML of a document whose first-level headings become ``<h{level}>``."""
    blocks = re.split(r"\n\s*\n", text.strip())
    return "\n".join(_block(block.strip("\n").splitlines(), level) for block in blocks if block.strip())


def _block(lines: list[str], level: int) -> str:
    heading = re.match(r"(#{1,4}) +(.*)", lines[0])
    if heading:
        size = min(6, level + len(heading[1]) - 1)
        rest = _block(lines[1:], level) if len(lines) > 1 else ""
        return f"<h{size}>{inline(heading[2])}</h{size}>{rest}"
    if len(lines) > 1 and lines[0].lstrip().startswith("|") and re.fullmatch(r"[\s|:-]+", lines[1]):
        head, *rows = [_cells(line) for index, line in enumerate(lines) if index != 1]
        return table([inline(cell) for cell in head], [[inline(cell) for cell in row] for row in rows])
    if all(re.match(r"[-*] ", line) for line in lines):
        return "<ul>" + "".join(f"<li>{inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{inline(' '.join(line.strip() for line in lines))}</p>"


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def inline(text: str) -> str:
    """One line: code and strong words marked, everything else escaped."""
    return STRONG.sub(r"<strong>\1</strong>", CODE.sub(r"<code>\1</code>", escape(text)))
