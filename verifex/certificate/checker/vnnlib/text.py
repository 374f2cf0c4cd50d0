"""The text of VNN-LIB 1.0: commands in brackets, as SMT-LIB 2.6 (section 3.1) writes them.

What docs/vnnlib.md takes is taken, the rest is refused with its line. In particular quoted symbols
and strings are no part of it (`|` and `"` are in no token), so a bracket is always a bracket.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..failures import Bad, need

Expression = str | list["Expression"]
"""A word, or expressions in brackets."""

# A bracket, a word of printable ASCII, or blanks and comments, which end at LF or CR.
TOKEN = re.compile(r"[()]|[!#-'*-:<-{}~]+|(?:[ \t\r\n]|;[^\r\n]*)++")
CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
LINE_END = re.compile(r"\r\n|\r|\n")
DEEPEST = 100


class QueryCommand(NamedTuple):
    """The expressions between the outer brackets of a command, and the line that it ends on."""

    line: int
    parts: list[Expression]


def commands(source: str) -> Iterator[QueryCommand]:
    """The commands of a text, all of which is read."""
    opened: list[list[Expression]] = []  # what stands so far in each bracket that is not closed
    first = 1  # the line of the outermost of them
    for line, token in tokens(source):
        if token == "(":
            first = first if opened else line
            need(len(opened) < DEEPEST, f"line {line}: nested too deeply")
            opened.append([])
        elif token == ")":
            need(opened, f"line {line}: a bracket too many")
            closed = opened.pop()
            if opened:
                opened[-1].append(closed)
            else:
                need(closed, f"line {line}: an empty command")
                yield QueryCommand(line, closed)
        else:
            need(opened, f"line {line}: {token!r:.40} outside of brackets")
            opened[-1].append(token)
    need(not opened, f"line {first}: a bracket is never closed")


def tokens(source: str) -> Iterator[tuple[int, str]]:
    """Brackets and words with their lines; blanks and comments only count lines."""
    place, line = 0, 1
    while place < len(source):
        found = TOKEN.match(source, place)
        if found is None:
            raise Bad(f"line {line}: {source[place]!r} is no part of VNN-LIB 1.0")
        token, place = found[0], found.end()
        if token[0] not in "; \t\r\n":
            yield line, token
            continue
        control = CONTROL.search(token)
        line += len(LINE_END.findall(token[: control.start() if control else None]))
        need(not control, f"line {line}: a control character")
