"""`difference`: two networks against each other over a region."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from verifex import api
from verifex.cli.common import EffortOptions, json_lines, progress
from verifex.cli.decide import print_ranges, print_verdict
from verifex.errors import UsageError
from verifex.ir.decimals import parse_exact


def difference(
    files: Sequence[Path], of: Sequence[str], at_most: str | None, limits: EffortOptions, *,
    save_as: Path | None, log: Path | None, json: bool, quiet: bool,
) -> int:
    """Print the ranges of the differences, or the verdict of a claim about them; its exit code."""
    from verifex.problem.spec.difference import load_difference

    if len(files) != 3:
        raise UsageError(f"{len(files)} files, expected two networks and a spec")
    limit = None if at_most is None else _number(at_most)
    limits.require()
    first, second, spec = files
    asked = load_difference(first, second, spec, of, limit)
    if save_as is not None:
        from verifex.problem.vnnlib.translate import write_translation

        if not asked.claim:
            raise UsageError("--save-as writes a claim, expected --at-most or --of class")
        write_translation(asked.problem, *(
            save_as.with_name(save_as.name + end) for end in (".onnx", ".vnnlib")))
    title = f"{first.stem} and {second.stem}"
    with json_lines(log) as write, progress(title, quiet) as report:
        found = api.compare(asked, log=write, progress=report, **limits.keywords())
    if isinstance(found, list):
        print_ranges(found, [r.expression for r in found], json, quiet)
        return max(r.exit_code for r in found)
    print_verdict(found, asked.problem, json, quiet)
    return found.exit_code


def _number(text: str) -> Fraction:
    try:
        return parse_exact(text)
    except ValueError as error:
        raise UsageError(f"--at-most {text[:40]}: {error}, expected a number such as 0.1 or 1/3"
                         ) from None
