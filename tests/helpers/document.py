"""Sections of a page that scripts write: replaced where they exist, put at the end where not."""

from __future__ import annotations

import re
from pathlib import Path


def section(page: Path, title: str, body: str) -> None:
    """Write `## title` and its body into a Markdown page; other sections stay as they are."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    new = f"## {title}\n\n{body.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if pattern.search(text):
        text = pattern.sub(lambda _: new + "\n", text)
    else:
        text = f"{text.rstrip()}\n\n{new}" if text.strip() else new
    page.write_text(text.rstrip() + "\n", encoding="utf-8")
