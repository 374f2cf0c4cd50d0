"""The checker as one file, a zip application: `python -I -S FILE NETWORK SPEC CERTIFICATE`."""

from __future__ import annotations

import shutil
import tempfile
import zipapp
from pathlib import Path

from verifex.certificate.grant import CHECKER
from verifex.errors import InputError

INTERPRETER = "/usr/bin/env -S python3 -I -S"

_MAIN = f'''"""Runs the checker in this file: NETWORK SPEC CERTIFICATE [--jobs N]."""

import sys

from {CHECKER.name}.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''


def write_application(path: Path) -> int:
    """Write the checker's own files, unchanged, as a zip application; its bytes.

    Raises InputError where that cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="verifex-") as folder:
        source = Path(folder) / "source"
        shutil.copytree(
            CHECKER, source / CHECKER.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        (source / "__main__.py").write_text(_MAIN, encoding="utf-8")
        try:
            zipapp.create_archive(source, path, INTERPRETER, compressed=True)
        except OSError as error:
            raise InputError(
                f"cannot be written: {error.strerror}", expected="a writable file", file=str(path)
            ) from None
    return path.stat().st_size
