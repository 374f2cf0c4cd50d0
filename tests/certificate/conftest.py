"""What tests of certificates share: a command line run in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verifex.cli.app import app
from verifex.cli.guard import run


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line in this process: (exit code, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(app, [str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return call
