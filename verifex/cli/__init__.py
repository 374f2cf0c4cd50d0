"""The command line: `verifex COMMAND ...` (also `python -m verifex`)."""

from __future__ import annotations


def main() -> None:
    """Run the command line of this process and exit with its code (section "Verdicts")."""
    from verifex.cli.app import app
    from verifex.cli.guard import run_process

    run_process(app)
