"""The first line of a certificate."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from ..failures import need
from ..spec.claim import Claim
from ..spec.toml_values import TomlTable, exact
from .lines import Line, fingerprints

FORMAT = 2
PRECISION = (52, 64, 7)
FINEST = 1 << 12
"""Bits. Finer grids are refused."""
KEYS = ("vxc", "network", "external", "spec", "data", "x0", "precision", "atoms", "witness", "note")


class Precision(NamedTuple):
    """Bits of the grid of bounds, of coefficients, and of fractions."""

    grid: int
    coefficient: int
    fraction: int


def read_header(line: Line) -> Line:
    """The line itself, if it begins a certificate of this format."""
    need(isinstance(line, dict) and "vxc" in line, "header: no certificate")
    version = line["vxc"]
    need(type(version) is int, "header: vxc: no number")
    need(version != 1, "header: a certificate of format 1, and this checker reads format 2: "
                       "write it anew with `verifex verify --certificate`")
    need(version == FORMAT, f"header: a certificate of format {version}, and not {FORMAT}")
    for key in ("networks", "parameters"):
        need(key not in line, f"header: {key}: unsupported")
    TomlTable(line, KEYS)  # refuses other keys
    return line


def precision(header: Line) -> Precision:
    """What the header asks for."""
    given = header.get("precision", list(PRECISION))
    need(isinstance(given, list) and len(given) == len(PRECISION)
         and all(type(bits) is int and 1 <= bits <= FINEST for bits in given),
         "header: precision: no three numbers of bits")
    return Precision(*given)


def atom_names(header: Line) -> list[int]:
    """The names of the atoms that the proof bounds."""
    return fingerprints(header.get("atoms", ""), "header: atoms")


def agree(header: Line, claim: Claim) -> None:
    """Refuse a certificate of other data files, or of another reference point."""
    need(header.get("data", {}) == claim.data_hashes, "header: data: the hashes of other files")
    if "x0" in header:
        given = header["x0"]
        need(isinstance(given, list), "header: x0: no list")
        need([exact(value) for value in given] == list(claim.x0),
             "header: x0: another point than the spec's")


def witness(header: Line) -> list[Fraction]:
    """The point of a refutation."""
    given = header["witness"]
    need(isinstance(given, list), "header: witness: no list")
    return [exact(value) for value in given]
