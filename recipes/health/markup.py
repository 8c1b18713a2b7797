"""HTML made of elements, in which every text is escaped. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterable

from recipes.errors import one_line

_EMPTY = {"meta": ">", "rect": "/>", "circle": "/>", "polyline": "/>", "line": "/>"}
"""Elements without content, and how their tags end: those of SVG are not void in HTML."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escape a text, which may be a stranger's; what is not printable becomes an escape that can be read."""
    return value if isinstance(value, Markup) else Markup(html.escape(one_line(str(value))))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Make an element; a child is `Markup`, or text, which is escaped; None is left out.

    In names of attributes `_` stands for `-`, and one at the end is dropped (`class_`).
    """
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Markup(f"<{name}{words}{_EMPTY[name]}")
    return Markup(f"<{name}{words}>{joined(children)}</{name}>")


def prose(sentence: object) -> Markup:
    """Give a sentence in which what is in backticks is code."""
    parts = str(sentence).split("`")
    if len(parts) % 2 == 0:  # one of them has no partner
        return text(sentence)
    return joined(tag("code", one) if at % 2 else one for at, one in enumerate(parts))


def joined(children: Iterable[object], between: str = "") -> Markup:
    """Put elements and texts one behind another."""
    return Markup(text(between).join(text(one) for one in children if one is not None))


def table(
    caption: str, heads: Iterable[str], rows: Iterable[Iterable[object]], **attributes: object
) -> Markup:
    """Make a table; the first cell of a row is its head. Narrow screens show each row as a list."""
    names = [*heads]
    head = tag("tr", *(tag("th", one, scope="col") for one in names))
    body = [tag("tr", *_cells(names, row)) for row in rows]
    return tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body), **attributes)


def _cells(names: Iterable[str], row: Iterable[object]) -> Iterable[Markup]:
    for at, (name, cell) in enumerate(zip(names, row, strict=True)):
        # a `span` keeps what a narrow screen shows beside the column's name together
        shown = tag("span", cell)
        yield tag("td", shown, data_name=name) if at else tag("th", shown, scope="row", data_name=name)
