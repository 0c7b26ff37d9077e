"""Text in colours: plain in a file or a log, in colours where somebody looks at a terminal.

rich knows what a terminal can do. Without it text is plain.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Line", "Picture", "Span", "coloured", "width_of"]

#: A style's name, and text.
Span = tuple[str, str]
Line = Sequence[Span]

#: What the styles look like in rich's words.
STYLES = {
    "": "",
    "group": "bold blue",
    "dataset": "bold",
    "link": "cyan",
    "type": "magenta",
    "unreadable": "bold red",
    "frame": "dim",
    "shape": "green",
    "dtype": "yellow",
    "size": "",
    "units": "magenta",
    "ranks": "bold cyan",
    "packing": "dim",
    "label": "dim",
    "note": "italic dim",
}


def coloured(stream: Any = None) -> bool:
    """Whether text for `stream` (standard output) is to have colours.

    ``NO_COLOR`` and ``FORCE_COLOR`` in the environment decide, else whether it is a terminal.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    stream = sys.stdout if stream is None else stream
    try:
        return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False


def width_of(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum((1 + (east_asian_width(c) in "FW")) * (not combining(c)) for c in text)


class Picture:
    """Lines of styled text, and the same as HTML.

    ``print(picture)`` is in colours on a terminal where rich is installed; ``str.format`` and files
    get it plain, notebooks get HTML.

    Parameters
    ----------
    lines : iterable of lines
        Each a sequence of (style, text).
    page : callable, optional
        Makes the HTML when it is asked for.

    Examples
    --------
    >>> picture = Picture([[("group", "/"), ("", " 2 children")]])
    >>> picture.plain()
    '/ 2 children'
    """

    def __init__(self, lines: Iterable[Line], page: Any = None) -> None:
        self.lines = [list(line) for line in lines]
        self._page = page

    def plain(self) -> str:
        """The text without colours."""
        return "\n".join("".join(text for _style, text in line).rstrip() for line in self.lines)

    def __str__(self) -> str:
        if not coloured():
            return self.plain()
        return self.ansi()

    def __repr__(self) -> str:
        return self.plain()

    def ansi(self) -> str:
        """The text with the colours of a terminal; plain where rich is not installed."""
        try:
            from rich.console import Console
        except ImportError:
            return self.plain()
        console = Console(force_terminal=True, width=100_000, highlight=False, soft_wrap=True)
        with console.capture() as capture:
            console.print(self.__rich__(), end="")
        return "\n".join(line.rstrip() for line in capture.get().split("\n"))

    def __rich__(self) -> Any:
        """The text for rich."""
        from rich.text import Text

        text = Text(no_wrap=True, overflow="ignore")
        for number, line in enumerate(self.lines):
            if number:
                text.append("\n")
            for style, part in line:
                text.append(part, STYLES.get(style, ""))
        return text

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        if self._page is not None:
            return str(self._page())
        from html import escape

        return f"<pre>{escape(self.plain())}</pre>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"text/plain": str(self), "text/html": self._repr_html_()}
