"""`python -m tests.messages.rewrite`: what is said to every mistake now, into `mistakes.toml`."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.messages.catalogue import FILE, Mistake, read, said, written
from tests.messages.place import make


def main() -> None:
    """Make every mistake in a folder of its own, and keep the answers."""
    home = Path.cwd()
    kept: list[Mistake] = []
    for mistake in read():
        with tempfile.TemporaryDirectory() as place:
            make(Path(place))
            os.chdir(place)
            try:
                code, text, _ = said(mistake, Path(place))
            finally:
                os.chdir(home)
        if (code, text) != (mistake.exit, mistake.says):
            print(f"{mistake.title}\n  - {mistake.exit}  {mistake.says}\n  + {code}  {text}")
        kept.append(replace(mistake, exit=code, says=text))
    FILE.write_text(written(kept), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
