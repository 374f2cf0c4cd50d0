"""Witness files: an exact point in JSON, with hashes of the network and the spec it is for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifex.cli.common import feature_names, write_file
from verifex.errors import InputError
from verifex.ir.text.checked import read_fraction
from verifex.ir.text.graph_text import fraction_to_json

if TYPE_CHECKING:
    from verifex.problem.read import ReadProblem

VERSION = 1
MAX_BYTES = 256 << 20


def write_witness(
    path: Path, point: Sequence[Fraction], asked: ReadProblem
) -> None:
    """Write the point; every number as an exact integer or quotient."""
    problem = asked.problem
    document = {
        "verifex_witness": VERSION,
        "name": problem.name,
        **_hashes(asked),
        "features": feature_names(problem.region.names, problem.region.size),
        "point": [fraction_to_json(v) for v in point],
    }
    write_file(path, json.dumps(document, indent=1) + "\n")


def read_witness(
    path: Path, asked: ReadProblem
) -> tuple[tuple[Fraction, ...], list[str]]:
    """The point of a witness file, and notes where it was found for other files than these."""
    try:
        data = _load(path)
        point = tuple(
            read_fraction(v, f"point[{i}]") for i, v in enumerate(data["point"])
        )
        size = asked.problem.region.size
        if len(point) != size:
            expected = f"{size}, one for each input"
            raise InputError(f"{len(point)} numbers", expected=expected, key="point")
    except InputError as error:
        raise error.at(file=str(path)) from None
    notes = [
        f"the {key.partition('_')[0]} has changed since the witness was written"
        for key, value in _hashes(asked).items()
        if key in data and data[key] != value
    ]
    return point, notes


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError("the file is too big", expected=f"at most {MAX_BYTES} bytes")
        data = json.loads(path.read_bytes())
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise InputError(reason, expected="a witness file") from None
    except (ValueError, RecursionError):
        raise InputError("not JSON", expected="a witness file") from None
    if not isinstance(data, dict) or data.get("verifex_witness") != VERSION:
        raise InputError(
            "not a witness file", expected=f'"verifex_witness": {VERSION}', key="verifex_witness"
        )
    if not isinstance(data.get("point"), list):
        raise InputError("missing", expected="a list of numbers", key="point")
    return data


def _hashes(asked: ReadProblem) -> dict[str, str]:
    """SHA-256 of the network and the spec that the problem was read from."""
    if asked.files is None:
        return {}
    return {"spec_sha256": asked.files.spec.sha256, "network_sha256": asked.files.network.sha256}
