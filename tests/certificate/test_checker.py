"""The independent checker: its text, the worked example, what it refuses, and what it derives."""

from __future__ import annotations

import ast
import base64
import gzip
import hashlib
import json
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.helpers.checker_nets import (
    CHECKER,
    ROOT,
    agree,
    ck,
    claim_of,
    save_graph,
    save_net,
)
from verifex.ir.fingerprints import GraphFingerprints
from verifex.ir.formula import atoms, negate
from verifex.problem.spec.build import load_problem

FORMAT = (ROOT / "verifex" / "certificate" / "format.md").read_text(encoding="utf-8")


# --- the text -----------------------------------------------------------------------------------

ALLOWED = {
    "__future__", "base64", "binascii", "bisect", "collections", "concurrent", "contextlib",
    "decimal", "fnmatch", "fractions", "functools", "gzip", "hashlib", "importlib", "io",
    "itertools", "json", "math", "operator", "os", "pathlib", "re", "stat", "struct", "sys",
    "tomllib", "typing", "weakref", "zlib",
}
FRACTIONS = {"Fraction(2)"}
WHOLE_MATHS = {"ceil", "floor", "gcd", "isqrt", "lcm", "prod", "trunc"}


def _trees() -> Iterator[ast.AST]:
    for path in sorted(CHECKER.rglob("*.py")):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8"), path.name))


def test_checker_has_no_float_arithmetic() -> None:
    for node in _trees():
        at = f"line {getattr(node, 'lineno', '?')}"
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float | complex), at
        if isinstance(node, ast.BinOp | ast.AugAssign):
            assert not isinstance(node.op, ast.Div), at
        if isinstance(node, ast.Name):
            assert node.id not in ("float", "complex", "eval", "exec"), at
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.value.id != "math" or node.attr in WHOLE_MATHS, at


def _is_never_negative(exponent: ast.expr) -> bool:
    """Whether an exponent is a literal, a choice or sum of such ones, or the power of a norm."""
    match exponent:
        case ast.Constant(value=int(value)):
            return value >= 0
        case ast.IfExp(body=body, orelse=orelse):
            return _is_never_negative(body) and _is_never_negative(orelse)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_never_negative(left) and _is_never_negative(right)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name == "power"
        case ast.Compare():
            return True
        case ast.BinOp(left=ast.Constant(value=1), op=ast.LShift()):
            return True
    return False


def test_checker_raises_only_fractions_to_negative_powers() -> None:
    """An integer to a negative power would be a float: each such base is known as a Fraction."""
    for node in _trees():
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            base = ast.unparse(node.left)
            known = base in FRACTIONS or _is_never_negative(node.right)
            assert known, f"line {node.lineno}: {base} ** {ast.unparse(node.right)}"
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Pow):
            assert _is_never_negative(node.value), f"line {node.lineno}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pow":
            assert len(node.args) == 3, f"line {node.lineno}: pow without a modulus"


def test_checker_imports_the_standard_library_only() -> None:
    for node in _trees():
        if isinstance(node, ast.Import):
            assert {a.name.split(".")[0] for a in node.names} <= ALLOWED
        if isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".")
            assert node.level or parts[0] in ALLOWED


# --- the worked example -------------------------------------------------------------------------


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", FORMAT, re.DOTALL)


class Files:
    """The example of format.md on disk, with lines that tests change."""

    def __init__(self, folder: Path) -> None:
        self.network = save_net(
            folder / "net.onnx", [([[2, 1], [1, -1]], [0, -0.5]), ([[1, -1]], [0])]
        )
        self.spec = folder / "spec.toml"
        self.spec.write_text(blocks("toml")[0], encoding="utf-8")
        self.proof = folder / "proof.vxc"
        self.lines: list[Any] = [json.loads(line) for line in blocks("json")[0].splitlines()]

    def hashes(self) -> dict[str, str]:
        return {
            key: hashlib.sha256(path.read_bytes()).hexdigest()
            for key, path in (("network", self.network), ("spec", self.spec))
        }

    def write(self, lines: list[Any] | None = None, *, hashed: bool = True) -> None:
        lines = self.lines if lines is None else lines
        head = {**lines[0], **(self.hashes() if hashed else {})}
        text = "".join(json.dumps(line) + "\n" for line in [head, *lines[1:]])
        self.proof.write_text(text, encoding="utf-8")

    def check(self) -> tuple[int, str]:
        found: tuple[int, str] = ck.check([str(self.network), str(self.spec), str(self.proof)])
        return found

    def run(self, *more: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(CHECKER), str(self.network), str(self.spec),
             str(self.proof), *more], capture_output=True, text=True, timeout=60, check=False,
        )
        assert done.stderr == ""
        assert done.stdout.count("\n") == 1
        return done.returncode, done.stdout.strip()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_worked_example_is_valid(files: Files) -> None:
    files.write()
    assert files.run() == (0, "valid")
    assert files.run("--jobs", "2") == (0, "valid")
    plain = files.proof.read_bytes()
    files.proof.write_bytes(gzip.compress(plain))
    assert files.run() == (0, "valid")


BOUND = 5  # the line of the example that bounds the atom
ALPHA, TIE = "alpha 1", "tie 2"


def changed(at: int, **keys: Any) -> Any:
    """The lines with keys of one of them changed, or taken away where their new value is None."""

    def change(lines: list[Any]) -> list[Any]:
        line = {k: v for k, v in {**lines[at], **keys}.items() if v is not None}
        return [*lines[:at], line, *lines[at + 1 :]]

    return change


def fractions(**given: str) -> Any:
    """The example's fractions with some of them changed: alpha and tie."""
    both = {"alpha": "gAA=", "tie": "gAA=", **given}
    return changed(BOUND, fractions={ALPHA: both["alpha"], TIE: both["tie"]})


def encoded(*numbers: int) -> str:
    """Numbers in base64, as fractions are."""
    return base64.b64encode(bytes(numbers)).decode()


def named(*names: int) -> str:
    """GraphFingerprints in base64."""
    return base64.b64encode(b"".join(n.to_bytes(8, "little") for n in names)).decode()


@pytest.mark.parametrize("change", [
    fractions(tie="AAA="), fractions(alpha="AAA="), changed(BOUND, splits=[]),
    changed(BOUND, splits=None), changed(BOUND, splits=[[0, 255, -8]]),
    changed(BOUND, splits=[[0, "255/256"]]), fractions(alpha=encoded(127)),
    fractions(tie=encoded(127)),
])
def test_worked_example_needs_its_multipliers(files: Files, change: Any) -> None:
    """Each of the three multipliers of the example is what closes the leaf."""
    files.write(change(files.lines))
    assert files.check() == (1, "invalid: line 7: leaf 0 does not close")


@pytest.mark.parametrize("change", [
    changed(BOUND, splits=[[0, "1"]]), changed(BOUND, splits=[[0, "2/2"]]),
    changed(BOUND, exact=1), changed(BOUND, splits=[[0, 4, -2]]),
    changed(0, precision=[1, 1, 7]), changed(0, precision=[300, 300, 7]),
    changed(0, note="of no meaning"),
    lambda lines: [lines[0], lines[4], *lines[1:4], *lines[5:]][:1] + lines[1:],
    lambda lines: [lines[0], lines[1], lines[4], *lines[2:4], *lines[5:]],
])
def test_other_words_for_the_worked_example(files: Files, change: Any) -> None:
    """Fractions as text, exact lines, grids that hold the numbers, names just before their use."""
    files.write(change(files.lines))
    assert files.check() == (0, "valid")


def test_fractions_of_other_precisions(files: Files) -> None:
    """With 8 bits 1 is 256, in two bytes; with 15 bits 32768; with 1 bit it is 2."""
    for bits, one in ((8, "AAEAAA=="), (15, "AIAAAA=="), (1, "AgA="), (8, "AAE="), (15, "AIA=")):
        lines = fractions(alpha=one, tie=one)(files.lines)
        files.write(changed(0, precision=[52, 64, bits])(lines))
        assert files.check() == (0, "valid"), bits
        files.write(changed(0, precision=[52, 64, bits])(files.lines))
        assert files.check()[0] == 1, bits


def test_bound_of_the_example_is_exactly_zero(files: Files) -> None:
    """The claim with a threshold a hair above what holds cannot be shown by the same proof."""
    files.spec.write_text(files.spec.read_text().replace("-0.5", "-0.4999999999"), encoding="utf-8")
    (name,) = claim_of(files.network, files.spec).atoms.names(ck.Fingerprints(
        claim_of(files.network, files.spec).graph))
    for exact in (None, 1):
        files.write(changed(BOUND, exact=exact)(changed(0, atoms=named(name))(files.lines)))
        assert files.check() == (1, "invalid: line 7: leaf 0 does not close")


ANOTHER = named(12345, 54321)
REFUSED: dict[str, tuple[Any, int, str]] = {
    "format 1": (changed(0, vxc=1), 1, "a certificate of format 1, and this checker reads"),
    "format 3": (changed(0, vxc=3), 1, "a certificate of format 3, and not 2"),
    "format true": (changed(0, vxc=True), 1, "vxc: no number"),
    "format of text": (changed(0, vxc="2"), 1, "vxc: no number"),
    "unknown header key": (changed(0, extra=1), 1, "unknown key"),
    "several networks": (changed(0, networks=[]), 1, "header: networks: unsupported"),
    "moving constants": (changed(0, parameters={}), 1, "header: parameters: unsupported"),
    "other data": (changed(0, data={"x.npy": "0"}), 1, "header: data: the hashes of other files"),
    "a reference where there is none": (changed(0, x0=["0", "0"]), 1, "header: x0"),
    "x0 of no list": (changed(0, x0="0"), 1, "header: x0: no list"),
    "precision of two": (changed(0, precision=[52, 64]), 1, "header: precision"),
    "precision 0": (changed(0, precision=[52, 0, 7]), 1, "header: precision"),
    "precision beyond": (changed(0, precision=[52, 4097, 7]), 1, "header: precision"),
    "precision of text": (changed(0, precision=["52", 64, 7]), 1, "header: precision"),
    "precision true": (changed(0, precision=[52, True, 7]), 1, "header: precision"),
    "other atoms": (changed(0, atoms=ANOTHER), 1, "leaf 0"),
    "no atoms": (changed(0, atoms=None), 1, "no atom 0"),
    "atoms by number": (changed(0, atoms=1), 1, "header: atoms"),
    "half a name": (changed(0, atoms="sbz8CVLNTQ=="), 1, "header: atoms: broken"),
    "half a name in a group": (changed(1, group="TqO85Z2CTwil6I5GbfdnHA"[:20]), 1, "group"),
    "group of numbers": (changed(1, group=[1, 2]), 1, "group: no text"),
    "slope 129/128": (fractions(alpha=encoded(129, 0)), 1, "above 1"),
    "slope 255/128": (fractions(alpha=encoded(0, 255)), 1, "above 1"),
    "too many bytes": (fractions(alpha=encoded(0, 0, 0)), 1, "out of range"),
    "no base64": (fractions(alpha="g A="), 1, "no base64"),
    "fractions of a list": (changed(BOUND, fractions=["gAA="]), 1, "no object"),
    "unknown group": (changed(BOUND, fractions={"alpha 3": "gAA="}), 1, "no group 3"),
    "unknown kind": (changed(BOUND, fractions={"beta 1": "gAA="}), 1, "a wrong key"),
    "no group": (changed(BOUND, fractions={"alpha": "gAA="}), 1, "a wrong key"),
    "group -1": (changed(BOUND, fractions={"alpha -1": "gAA="}), 1, "a wrong key"),
    "fractions of other elements": (
        changed(BOUND, fractions={ALPHA: "gAA=", "tie 0": "gAA="}), 1, "leaf 0"),
    "fractions of another kind": (
        changed(BOUND, fractions={"tie 1": "gAA=", "alpha 2": "gAA="}), 1, "leaf 0"),
    "negative multiplier": (changed(BOUND, splits=[[0, -1, 0]]), 1, "range"),
    "negative fraction": (changed(BOUND, splits=[[0, "-1"]]), 1, "range"),
    "huge multiplier": (changed(BOUND, splits=[[0, 1, 10**9]]), 1, "range"),
    "huge fraction": (changed(BOUND, splits=[[0, "1" + 2500 * "0"]]), 1, "no number"),
    "long fraction": (changed(BOUND, splits=[[0, 1 << 9000, 0]]), 1, "range"),
    "multiplier of no number": (changed(BOUND, splits=[[0, "x"]]), 1, "line 7"),
    "multiplier true": (changed(BOUND, splits=[[0, True, 0]]), 1, "range"),
    "multipliers of no list": (changed(BOUND, splits={"0": 1}), 1, "splits: no list"),
    "entry of one": (changed(BOUND, splits=[[0]]), 1, "splits: a wrong entry"),
    "multiplier of no split": (changed(BOUND, splits=[[1, 1, 0]]), 1, "no split 1"),
    "multiplier of split -1": (changed(BOUND, splits=[[-1, 1, 0]]), 1, "no split -1"),
    "multiplier of no row": (changed(BOUND, rows=[[0, 1, 0]]), 1, "no row 0"),
    "exact 2": (changed(BOUND, exact=2), 1, "exact"),
    "exact true": (changed(BOUND, exact=True), 1, "exact"),
    "no such atom": (changed(BOUND, bound=1), 1, "no atom 1"),
    "atom -2": (changed(BOUND, bound=-2), 1, "no atom -2"),
    "atom of text": (changed(BOUND, bound="0"), 1, "no atom"),
    "sum with no such atom": (changed(BOUND, atoms=[[1, 1, 0]]), 1, "no atom 1"),
    "sum with the form 0": (changed(BOUND, bound=-1, atoms=[[0, 1, 0]]), 1, "the form 0"),
    "split of what is no argument": (changed(4, split=[1, 1]), 1, "does not depend on"),
    "split of nothing": (changed(1, group=ANOTHER), 1, "does not depend on"),
    "split of no element": (changed(4, split=[0, 2]), 1, "no element"),
    "split of element -1": (changed(4, split=[0, -1]), 1, "no element"),
    "split of no group": (changed(4, split=[3, 1]), 1, "no group"),
    "split of one": (changed(4, split=[0]), 1, "a wrong split"),
    "split of four": (changed(4, split=[0, 1, "0", "0"]), 1, "a wrong split"),
    "split at no number": (changed(4, split=[0, 1, "x"]), 1, "line 5"),
    "split of another unit": (changed(4, split=[0, 0]), 1, "leaf 1"),
    "split above zero": (changed(4, split=[0, 1, "1/64"]), 1, "leaf 1"),
    "split below zero": (changed(4, split=[0, 1, "-1/64"]), 1, "leaf 0"),
    "split of no input": (lambda s: [*s[:4], {"input": [2, "0"]}, *s[5:]], 1, "no input 2"),
    "split of input -1": (lambda s: [*s[:4], {"input": [-1, "0"]}, *s[5:]], 1, "no input -1"),
    "input without a value": (lambda s: [*s[:4], {"input": [0]}, *s[5:]], 1, "a wrong split"),
    "split of no whole number": (lambda s: [*s[:4], {"whole": [0, 0]}, *s[5:]], 1, "whole"),
    "unknown line": (changed(4, q=1), 1, "keys"),
    "a key of other lines": (changed(4, splits=[]), 1, "keys"),
    "two kinds": (changed(4, leaf=1), 1, "keys"),
    "empty line": (lambda s: [*s[:4], {}, *s[4:]], 1, "keys"),
    "fact's sign": (lambda s: [*s[:4], {"fact": [0, 0, 2]}, *s[4:]], 1, "a wrong fact"),
    "fact of two": (lambda s: [*s[:4], {"fact": [0, 0]}, *s[4:]], 1, "a wrong fact"),
    "fact of no group": (lambda s: [*s[:4], {"fact": [3, 0, 1]}, *s[4:]], 1, "no group"),
    "fact of no element": (lambda s: [*s[:4], {"fact": [0, 2, 1]}, *s[4:]], 1, "no element"),
    "group after its use": (lambda s: [*s[:3], *s[4:7], s[3], *s[7:]], 1, "no group"),
    "group left out": (lambda s: [s[0], *s[2:]], 1, "line "),
    "bound dropped": (lambda s: [*s[:5], *s[6:]], 1, "leaf 0"),
    "bound of the other child": (lambda s: [*s[:5], s[6], s[5], s[7]], 1, "leaf 0"),
    "leaf doubled": (lambda s: [*s, {"leaf": 1}], 1, "after the end"),
    "bound after the end": (lambda s: [*s, {"bound": -1}], 1, "after the end"),
    "leaf dropped": (lambda s: s[:-1], 2, "nodes to come"),
    "leaf open": (changed(7, leaf=0), 2, "1 leaves are open"),
    "leaf 2": (changed(7, leaf=2), 1, "a leaf is 0 or 1"),
    "leaf true": (changed(7, leaf=True), 1, "a leaf is 0 or 1"),
    "no tree": (lambda s: s[:1], 2, "no tree"),
    "names alone": (lambda s: s[:4], 2, "no tree"),
    "just a leaf": (lambda s: [s[0], {"leaf": 1}], 1, "leaf 0"),
    "no such part": (lambda s: [s[0], {"parts": [1]}, *s[1:]], 1, "no part"),
    "part -1": (lambda s: [s[0], {"parts": [-1]}, *s[1:]], 1, "no part"),
    "part true": (lambda s: [s[0], {"parts": [True]}, *s[1:]], 1, "parts: no list"),
    "no part": (lambda s: [*s[:4], {"parts": []}, {"leaf": 1}], 2, "no tree"),
    "parts in a tree": (lambda s: [*s[:5], {"parts": [0]}, *s[5:]], 1, "a tree within a tree"),
    "second split on one unit": (lambda s: [*s[:7], s[4], *s[7:]], 1, "leaf 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_certificates_are_refused(files: Files, name: str) -> None:
    change, code, words = REFUSED[name]
    files.write(change(files.lines))
    found = files.check()
    assert found[0] == code
    assert words in found[1]


def test_format_1_gets_one_clear_line(files: Files) -> None:
    old = [{"vxc": 1, "nodes": {"R": [2]}, "atoms": 1}, {"s": ["R", 0, 1]}, {"l": 1}, {"l": 1}]
    files.write(old)
    assert files.run() == (1, "invalid: line 1: header: a certificate of format 1, and this "
                              "checker reads format 2: write it anew with "
                              "`verifex verify --certificate`")


def test_input_splits_and_parts(files: Files) -> None:
    """Splitting x0 at 1/4 closes the lower side by intervals; trees may name their parts."""
    tree = [{"input": [0, "1/4"]}, *files.lines[1:], {"leaf": 1}]
    files.write([files.lines[0], *tree])
    assert files.check() == (0, "valid")
    files.write([files.lines[0], {"parts": [0]}, *tree])
    assert files.check() == (0, "valid")
    files.write([files.lines[0], {"input": [0, "3/4"]}, *files.lines[1:], {"leaf": 1}])
    assert files.check() == (1, "invalid: line 10: leaf 2 does not close")


def test_every_part_needs_a_tree(files: Files) -> None:
    files.spec.write_text(
        files.spec.read_text() + "[[require]]\ncomponent = 1\nat_most = 5\n", encoding="utf-8"
    )
    first = [files.lines[0], {"parts": [0]}, *files.lines[1:]]
    files.write(first)
    assert files.check() == (2, "incomplete: a part has no tree")
    files.write([*first, {"parts": [1]}, {"leaf": 1}])
    assert files.check() == (0, "valid")
    files.write([*first, {"parts": [0]}, *files.lines[4:]])
    assert files.check() == (2, "incomplete: a part has no tree")
    files.write([files.lines[0], {"parts": [0, 1]}, *files.lines[1:]])
    assert files.check() == (0, "valid")
    files.write([files.lines[0], *files.lines[1:]])
    assert files.check() == (0, "valid")


@pytest.mark.parametrize("exact", [0, 1])
def test_empty_domains_close(files: Files, exact: int) -> None:
    """z1 >= 0 and z0 <= 0 exclude each other: 2 (z1 >= 0) + (z0 <= 0) bounds the form 0 by 1."""
    more = {"exact": 1} if exact else {}
    split = [*files.lines[:5], {"split": [0, 0]}, {"leaf": 1}]
    empty = [{"bound": -1, "splits": [[0, 1, 1], [1, 1, 0]], **more}, {"leaf": 1}, {"leaf": 1}]
    files.write([*split, *empty])
    assert files.check() == (0, "valid")
    files.write([*split, {"bound": -1, "splits": [[0, 1, 0], [1, 1, 0]], **more}, *empty[1:]])
    assert files.check() == (1, "invalid: line 9: leaf 1 does not close")


@pytest.mark.parametrize("exact", [0, 1])
def test_a_bound_of_the_form_0_must_be_above_zero(files: Files, exact: int) -> None:
    """Multipliers of nothing bound 0 by 0: that is true everywhere."""
    files.write([*files.lines[:4], {"bound": -1, **({"exact": 1} if exact else {})}, {"leaf": 1}])
    assert files.check() == (1, "invalid: line 6: leaf 0 does not close")


@pytest.mark.parametrize("exact", [0, 1])
def test_facts_replace_multipliers(files: Files, exact: int) -> None:
    """On z1 >= 0 a fact shows z0 >= 1, so that s0 = 1 there."""
    more = {"exact": 1} if exact else {}
    for e, code in ((1, 0), (-3, 1)):
        fact = {"fact": [0, 0, 1], "splits": [[0, 1, e]], **more}
        files.write([*files.lines[:5], fact, {"leaf": 1}, {"leaf": 1}])
        assert files.check()[0] == code


def test_facts_hold_in_the_subtree_only(files: Files) -> None:
    """What is derived for z1 >= 0 says nothing of z1 <= 0, or of what lies above both."""
    fact = {"fact": [0, 0, 1], "splits": [[0, 1, 1]]}
    files.write([*files.lines[:4], fact, files.lines[4], {"leaf": 1}, {"leaf": 1}])
    assert files.check() == (1, "invalid: line 7: no split 0")
    files.write([*files.lines[:5], {"leaf": 0}, fact, {"leaf": 1}])
    assert files.check() == (2, "incomplete: 1 leaves are open")
    # df/dx0 >= 1/2 holds where s0 = 1: with the fact on one side only, the other stays open.
    files.spec.write_text(files.spec.read_text().replace("-0.5", "0.5"), encoding="utf-8")
    files.write([*files.lines[:5], fact, {"leaf": 1}, {"leaf": 1}])
    assert files.check() == (1, "invalid: line 8: leaf 1 does not close")


def test_unknown_elements_and_atoms_are_passed_over(files: Files) -> None:
    """A wrong name loses a bound, and nothing else."""
    head = {**files.lines[0], "atoms": files.lines[0]["atoms"][:-1] + "=" + ANOTHER}
    names = base64.b64decode(files.lines[0]["atoms"]) + base64.b64decode(ANOTHER)
    head["atoms"] = base64.b64encode(names).decode()
    unknown = [{"group": ANOTHER}, {"fact": [3, 0, 1]}, {"fact": [2, 1, -1]}, {"bound": 1},
               {"bound": 0, "atoms": [[2, 1, 0]]}]
    files.write([head, *files.lines[1:4], *unknown, *files.lines[4:]])
    assert files.check() == (0, "valid")
    more = {**files.lines[BOUND]["fractions"], "alpha 3": "gIA=", "above 0": "gIA="}
    files.write([head, *files.lines[1:4], *unknown, files.lines[4],
                 {**files.lines[BOUND], "fractions": more}, *files.lines[6:]])
    assert files.check() == (0, "valid")
    files.write([head, *files.lines[1:4], *unknown, files.lines[4],
                 {**files.lines[BOUND], "bound": 1}, *files.lines[6:]])
    assert files.check() == (1, "invalid: line 12: leaf 0 does not close")


# --- other files, other bytes -------------------------------------------------------------------


@pytest.mark.parametrize("key", ["network", "spec"])
def test_certificates_name_their_files(files: Files, key: str) -> None:
    files.write()
    path: Path = getattr(files, key)
    path.write_bytes(path.read_bytes() + (b"\n" if key == "spec" else b"\x08\x08"))
    assert files.check() == (1, f"invalid: line 1: header: {key}: the hash of another file")


GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not utf-8": b'{"vxc":2,"note":"\xff"}\n',
    "deep": b"[" * 100_000,
    "a list": b"[1]\n",
    "float": b'{"vxc":2.0}\n',
    "NaN": b'{"vxc":NaN}\n',
    "long number": b'{"vxc":' + b"9" * 10_000 + b"}\n",
    "cut gzip": gzip.compress(b'{"vxc":2}\n' * 1000)[:40],
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_one_line(files: Files, name: str) -> None:
    files.proof.write_bytes(GARBAGE[name])
    code, word = files.run()
    assert code in (1, 65)
    assert word.startswith("invalid: ")


def test_unreadable_files(files: Files) -> None:
    code, word = files.run()
    assert (code, word.startswith("invalid: ")) == (65, True)


def test_damaged_networks_and_specs_are_one_line(files: Files) -> None:
    rng = random.Random(5)
    for path, text in ((files.network, files.network.read_bytes()),
                       (files.spec, files.spec.read_bytes())):
        for _ in range(60):
            data = bytearray(text)
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            most = rng.randint(1, len(data)) if rng.random() < 0.3 else len(data)
            path.write_bytes(bytes(data[:most]))
            files.write()
            code, word = files.check()
            assert code in (0, 1, 65)
            assert word == "valid" or (word.startswith("invalid: ") and "\n" not in word)
        path.write_bytes(text)


def test_unsupported_operators_are_named(tmp_path: Path) -> None:
    files = Files(tmp_path)
    node = helper.make_node("Tanh", ["x"], ["y"])
    save_graph(files.network, [node], [], [1, 2], "y", [1, 2])
    files.write()
    assert files.check() == (65, "invalid: net.onnx: unsupported smooth function Tanh for 'y'")


# --- witnesses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "answer"), [
    (["-1/2", "0"], "invalid: line 1: witness: the claim holds there"),
    (["1", "1/4"], "valid (refutation)"),
    (["1", "1/2"], "invalid: line 1: witness: on a kink"),
    (["3", "0"], "invalid: line 1: witness: outside the region"),
    (["1"], "invalid: line 1: witness: another length"),
])
def test_witnesses(files: Files, point: list[str], answer: str) -> None:
    """df/dx0 > 3/2 fails where s1 = 1: at (1, 1/4) it is 1."""
    text = files.spec.read_text().replace("at_least = -0.5", "any = [{component = 0, above = 1.5}]")
    files.spec.write_text(text.replace("component = 0\n", ""), encoding="utf-8")
    files.write([{"vxc": 2, "witness": point}])
    if point == ["-1/2", "0"]:  # both gates shut: the derivative is 0 and the claim fails too
        answer = "valid (refutation)"
    assert files.check()[1] == answer


def test_witness_must_break_the_claim(files: Files) -> None:
    files.write([{"vxc": 2, "witness": ["1", "1/4"]}])
    assert files.check() == (1, "invalid: line 1: witness: the claim holds there")
    files.write([{"vxc": 2, "witness": ["1", "1/4"]}, {"leaf": 1}])
    assert files.check() == (1, "invalid: line 2: lines after a witness")


# --- VNN-LIB ------------------------------------------------------------------------------------

QUERY = """; f <= 3 on the box, in two parts
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(assert (or (and (>= X_0 -1) (<= X_0 0)) (and (>= X_0 0) (<= X_0 1))))
(assert (>= X_1 0)) (assert (<= X_1 2.0))
(assert (>= (+ Y_0 (* 2 X_1) -6.0) %s))
"""


def test_vnnlib(files: Files) -> None:
    files.spec = files.spec.with_suffix(".vnnlib")
    for bound, code in (("2.001", 0), ("2", 1), ("1.999", 1)):
        files.spec.write_text(QUERY % bound, encoding="utf-8")
        problem = load_problem(files.spec, files.network)
        known = GraphFingerprints(problem.graph)
        names = [known.of_atom(a) for a in atoms(negate(problem.require))]
        about_output = {"vxc": 2, "atoms": named(names[-1])}
        files.write([about_output, {"bound": 0}, {"leaf": 1}])
        assert files.check()[0] == code, bound
    files.write([{"vxc": 2, "witness": ["1", "2"]}])
    assert files.check() == (0, "valid (refutation)")
    files.spec.write_text((QUERY % "0").replace("(<= X_1 2.0)", "(<= Y_0 9)"), encoding="utf-8")
    files.write([{"vxc": 2}, {"leaf": 1}])
    assert files.check() == (65, "invalid: spec.vnnlib: an input is unbounded")


# --- the same claim, exactly --------------------------------------------------------------------


LIBRARY = sorted((ROOT / "specs" / "library").glob("*.toml"))


@pytest.mark.parametrize("spec", LIBRARY, ids=lambda p: p.stem)
def test_library_specs_mean_the_same(spec: Path) -> None:
    agree(spec.parent / tomllib.loads(spec.read_text())["network"], spec)


@pytest.mark.parametrize("name", ["adult", "german"])
@pytest.mark.parametrize("kind", ["gradient", "input_x_gradient"])
def test_tabular_networks_mean_the_same(
    shared_data: Path, tmp_path: Path, name: str, kind: str
) -> None:
    folder = shared_data / "attribution_models" / "openxai"
    data, train = (folder / "data" / f"{name}-{part}.csv.gz" for part in ("test", "train"))
    extra = 'round = "float32"' if kind == "gradient" else ""
    with gzip.open(data, "rt") as rows:
        *_, frozen, target = rows.readline().strip().split(",")
    spec = tmp_path / "spec.toml"
    spec.write_text(f"""
verifex = 1
region = {{ linf = 0.05, clip = [0, 1], freeze = "{frozen}" }}
explain = {{ attribution = "{kind}", reduce = "abs" }}
require = [{{ top_k = 3 }}, {{ distance = "l2", at_most = 0.5 }}, {{ class = "unchanged" }}]
[input]
data = "{data}"
minmax_of = "{train}"
row = 7
target = "{target}"
{extra}
""", encoding="utf-8")
    agree(folder / "onnx" / f"{name}_ann.onnx", spec, points=1)


def test_convolutional_network_means_the_same(tmp_path: Path) -> None:
    """Conv, MaxPool, AveragePool, LeakyRelu, a residual sum and an input of rank 4."""
    rng = np.random.default_rng(4)
    stored = [numpy_helper.from_array((rng.integers(-8, 9, s) / 8).astype(np.float32), n)
              for n, s in (("K", (2, 1, 3, 3)), ("k", (2,)), ("L", (2, 2, 1, 1)), ("W", (8, 3)))]
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "K", "k"], ["c"], pads=[1, 1, 1, 1]), make("Relu", ["c"], ["r"]),
        make("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Conv", ["m", "L"], ["d"]), make("LeakyRelu", ["d"], ["e"], alpha=0.125),
        make("Add", ["e", "m"], ["s"]),
        make("AveragePool", ["s"], ["a"], kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
        make("Flatten", ["a"], ["f"]), make("MatMul", ["f", "W"], ["y"]),
    ]
    network = save_graph(tmp_path / "conv.onnx", nodes, stored, [1, 1, 4, 4], "y", [1, 3])
    spec = tmp_path / "spec.toml"
    point = [round(float(v), 3) for v in rng.random(16)]
    spec.write_text(f"""
verifex = 1
input = {{ point = {point} }}
region = {{ linf = 0.1 }}
[explain]
attribution = "input_x_gradient"
output = "margin:predicted,runner_up"
[[require]]
distance = "l1"
at_most = 1
[[require]]
mass = ["x[0]", 5, "x?1?*"]
at_least = "1/7"
[[require]]
similarity = "cosine"
at_least = 0.5
""", encoding="utf-8")
    agree(network, spec)


RULES = """
verifex = 1
kink = "zero"
input = { point = [0.25, 0.5, 0.75], names = ["a", "b", "c d"] }
[region]
linf = { "*" = 0.125, a = "1/3" }
clip = [0, 1]
linear = ['a + 2*b - x["c d"] <= 1.5', "0.1 <= x[1] <= 0.9"]
[explain]
attribution = "input*gradient"
output = { weights = [1, "-1/3", 0.5] }
features = ["a", "b"]
[[assume]]
class = 1
[[require]]
any = [
  { distance = "linf", at_most = 0.5, relative = true }, { not = { component = "a", above = 1 } },
]
[[require]]
all = [
  { sign = "unchanged", which = ["a"], zero = "ignore" }, { order = "unchanged" },
  { monotone = "increasing", feature = "a", output = "logit:0" }, { output = "sum", below = 9 },
  { order = ["a", "c d"] }, { top_k = 1 }, { mass = "a", at_most = 0.5, above = 0.25 },
]
"""


def test_every_kind_of_rule_means_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    shapes = [(5, 3), (4, 5), (3, 4)]
    layers = [(rng.integers(-9, 10, s) / 8, rng.integers(-4, 5, s[0]) / 16) for s in shapes]
    network = save_net(tmp_path / "net.onnx", layers)
    spec = tmp_path / "spec.toml"
    spec.write_text(RULES, encoding="utf-8")
    agree(network, spec)
    problem, checker = load_problem(spec, network), claim_of(network, spec)
    rows = [(dict(r.coefs), -r.rhs) for r in problem.region.rows]
    mine = [({i: c for (_, i), c in refs.items()}, const)
            for refs, const in checker.claim.region.rows]
    assert mine == rows


GATES = """
verifex = 1
kink = "zero"
input = { point = [0.25, 0.5, 0.75] }
[region]
linf = 0.125
linear = ["2*x[0] - x[1]/2 <= -x[2] * 0.5 + 1e1", "-1e-1 <= x[0, 1] - x[ 2 ] + 1"]
[explain]
attribution = "ATTRIBUTION"
output = "logit:0"
[[require]]
distance = "l1"
at_most = 1
"""


@pytest.mark.parametrize("kind", ["gradient", "input_x_gradient"])
def test_gates_and_products_of_a_file_mean_the_same(tmp_path: Path, kind: str) -> None:
    """y = relu(u) v + [u > v] w + ...: derivatives pass through gates and products."""
    make = helper.make_node
    weights = np.arange(9, dtype=np.float32).reshape(3, 3) / 8 - np.float32(0.4)
    stored = [numpy_helper.from_array(weights, "W"),
              numpy_helper.from_array(np.ones((3, 1), np.float32), "V")]
    nodes = [
        make("MatMul", ["x", "W"], ["u"]), make("Relu", ["u"], ["r"]),
        make("Greater", ["u", "x"], ["b"]), make("Cast", ["b"], ["g"], to=1),
        make("Less", ["x", "r"], ["b2"]), make("Cast", ["b2"], ["g2"], to=1),
        make("Mul", ["g", "r"], ["p"]), make("Mul", ["r", "x"], ["m"]),
        make("Mul", ["x", "g2"], ["n"]), make("Add", ["p", "m"], ["s"]),
        make("Add", ["s", "n"], ["t"]), make("MatMul", ["t", "V"], ["y"]),
    ]
    network = save_graph(tmp_path / "gates.onnx", nodes, stored, [1, 3], "y", [1, 1])
    spec = tmp_path / "spec.toml"
    spec.write_text(GATES.replace("ATTRIBUTION", kind), encoding="utf-8")
    agree(network, spec)


@pytest.mark.parametrize("reduce", ["channel_sum", "abs_channel_sum", "channel_abs_sum", "abs"])
def test_sums_over_channels_mean_the_same(tmp_path: Path, reduce: str) -> None:
    rng = np.random.default_rng(5)
    stored = [numpy_helper.from_array((rng.integers(-8, 9, s) / 8).astype(np.float32), n)
              for n, s in (("K", (2, 2, 2, 2)), ("W", (8, 2)))]
    make = helper.make_node
    nodes = [make("Conv", ["x", "K"], ["c"]), make("Relu", ["c"], ["r"]),
             make("Flatten", ["r"], ["f"]), make("MatMul", ["f", "W"], ["y"])]
    network = save_graph(tmp_path / "conv.onnx", nodes, stored, [1, 2, 3, 3], "y", [1, 2])
    np.save(tmp_path / "x.npy", rng.random((2, 2, 3, 3)).astype(np.float32))
    np.save(tmp_path / "mask.npy", np.arange(9 if "channel" in reduce else 18) % 2)
    spec = tmp_path / "spec.toml"
    spec.write_text(f"""
verifex = 1
input = {{ data = "x.npy", row = 1 }}
region = {{ linf = 0.1, freeze = ["x[1, 2, 2]"] }}
[explain]
output = "logit:1"
reduce = "{reduce}"
[[require]]
mass = {{ file = "mask.npy" }}
at_least = "1/9"
[[require]]
order = ["x[{'0, ' if reduce == 'abs' else ''}2, 2]", 0]
""", encoding="utf-8")
    agree(network, spec)


# --- bounds are bounds --------------------------------------------------------------------------


def random_checker(rng: random.Random, folder: Path) -> Any:
    widths = [rng.randint(2, 3), rng.randint(2, 5), rng.randint(2, 4), 2]
    layers = [
        ([[rng.randint(-12, 12) / 8 for _ in range(n)] for _ in range(m)],
         [rng.randint(-8, 8) / 8 for _ in range(m)])
        for n, m in pairwise(widths)
    ]
    network, spec = save_net(folder / "net.onnx", layers), folder / "spec.toml"
    kind = rng.choice(["gradient", "input_x_gradient"])
    spec.write_text(f"""
verifex = 1
kink = "zero"
input = {{ point = {[rng.randint(-9, 9) / 10 for _ in range(widths[0])]} }}
region = {{ linf = "{rng.choice(['1/2', '1/3', '1/10', '0.7'])}", linear = "x[0] - 2*x[1] <= 5" }}
explain = {{ attribution = "{kind}", output = "margin:0,1" }}
require = [{{ distance = "l2", at_most = 1 }}, {{ distance = "l1", at_most = 1 }},
           {{ similarity = "cosine", at_least = 0.1 }}]
""", encoding="utf-8")
    return claim_of(network, spec)


def random_line(rng: random.Random, checker: Any, domain: Any) -> dict[str, Any]:
    """Multipliers of any kind within their ranges."""
    given = {}
    for role, kinds in (("R", ["alpha"]), ("S", ["tie"]), ("G", ["below", "above"]),
                        ("M", ["below", "above"])):
        for kind in kinds:
            for node in checker.deriver.index.nodes:
                if checker.graph.nodes[node].kind == role and rng.random() < 0.7:
                    given[f"{kind} {group_of(checker, node)}"] = encoded(*(
                        rng.choice([0, 128, rng.randint(0, 128)])
                        for _ in range(checker.graph.nodes[node].size)))
    chosen = [j for j in range(len(domain.splits)) if rng.random() < 0.7]
    splits: list[list[Any]] = [
        [j, rng.randint(0, 9), rng.randint(-3, 1)] if rng.random() < 0.5
        else [j, f"{rng.randint(0, 9)}/{rng.randint(1, 9)}"] for j in chosen]
    return {"fractions": given, "splits": splits, "rows": [[0, rng.randint(0, 3), -1]]}


def group_of(checker: Any, node: int) -> int:
    """The number of the group that is a node's elements, which is named if it was not yet."""
    groups, names = checker.deriver.groups, checker.deriver.index.fingerprints.of(node)
    if names not in groups._names:
        groups.add(names)
    found: int = groups._names.index(names)
    return found


def some_domain(rng: random.Random, checker: Any, values: dict[Any, Fraction], x: Any) -> Any:
    """A domain that holds the point: units split by what they are there, perhaps an input cut."""
    claim, domain = checker.claim, checker.region
    share = rng.choice([0, 0, 0.3])
    arguments = {p for ps in checker.deriver.index.places(ck.ARGUMENT).values() for p in ps}
    for node, i in sorted(arguments):
        if rng.random() < share:
            at = rng.choice([Fraction(0), Fraction(rng.randint(-9, 9), rng.randint(1, 9))])
            value = values[node, i]
            sign = rng.choice([1, -1]) if value == at != 0 else 1 if value > at else -1
            domain = domain.split(ck.Split(node, i, sign, at))
    if rng.random() < 0.3:
        i = rng.randrange(claim.size)
        domain = domain.cut(i, 1, x[i] + Fraction(rng.randint(-5, 0), 7))
    assert not domain.empty
    return domain


@pytest.mark.slow
def test_bounds_hold_at_every_point(tmp_path: Path) -> None:
    """Random networks, splits that a point satisfies, any multipliers: all bounds hold there, of
    both arithmetics, and the fast one's are never above the plain one's."""
    rng, done = random.Random(11), 0
    for _ in range(60):
        try:
            checker = random_checker(rng, tmp_path)
        except ck.Bad:
            continue  # the attribution is zero at the reference: it has no direction
        done += 1
        graph, claim, deriver = checker.graph, checker.claim, checker.deriver
        scale = checker.grid.unit << checker.grid.coefficient
        nodes = sorted(graph.nodes[checker.atoms.node].cone)
        cells = [(n, i) for n in nodes for i in range(graph.nodes[n].size)]
        for _ in range(8):
            ends = [[a, b, (a + 2 * b) * Fraction(1, 3)]
                    for a, b in zip(claim.region.low, claim.region.high, strict=True)]
            x = [rng.choice([*e, *e[:2]]) for e in ends]
            # A gate on its kink is shut in these values.
            exact = [v for n in nodes for v in ck.exactly(graph, n, x, True)]
            values = dict(zip(cells, exact, strict=True))
            domain = some_domain(rng, checker, values, x)
            plain = ck.PlainBounds(domain)
            for (n, i), value in values.items():
                low, high = domain.bounds(n)
                least, most = plain.bounds(n)[i]
                assert low[i] <= least * checker.grid.unit
                assert least <= value <= most
                assert most * checker.grid.unit <= high[i]
            one = {cell: ({cell: Fraction(1)}, Fraction(0)) for cell in cells}
            for n, i in rng.sample(cells, min(12, len(cells))):
                sign = rng.choice([1, -1])
                using = deriver.multipliers(random_line(rng, checker, domain))
                terms = [(n, i, sign << checker.grid.coefficient)]
                fast = Fraction(deriver._rounded(domain, terms, 1, using), scale)
                slow = deriver._exactly(domain, [(one[n, i], Fraction(sign))], using)
                assert max(fast, slow) <= sign * values[n, i]
            for k, form in enumerate(checker.atoms.forms):
                line = random_line(rng, checker, domain)
                using, value = deriver.multipliers(line), sum(
                    (c * values[r] for r, c in form[0].items()), form[1])
                fast = Fraction(deriver._least(domain, k, [], line, using), scale)
                slow = deriver._least(domain, k, [], {**line, "exact": 1}, using)
                assert fast <= -value * checker.atoms.factors[k]
                assert slow <= -value
    assert done >= 40


def test_an_interval_is_rounded_outward() -> None:
    """A third of one unit lies between none and one."""
    graph = ck.NetworkGraph()
    n = graph.input("x", 1)
    third = graph.rows([({(n, 0): Fraction(1, 3)}, Fraction(0))])
    for x, ends in ((1, (0, 1)), (-1, (-1, 0)), (3, (1, 1)), (4, (1, 2))):
        domain = ck.Domain(ck.Grid(graph, 1, 0, 1), ([Fraction(x)], [Fraction(x)]))
        assert domain.bounds(third) == ([ends[0]], [ends[1]])


@pytest.mark.parametrize("bad", [3, 16, 20])
def test_every_worker_checks_its_leaves(tmp_path: Path, bad: int) -> None:
    """Of two workers exactly one sees that leaf `bad` does not close: x >= 1 is not implied."""
    files = Files(tmp_path)
    save_graph(files.network, [helper.make_node("Identity", ["x"], ["y"])], [], [1, 1], "y", [1, 1])
    cuts = [Fraction(50 - k, 10) for k in range(1, 24)]
    cuts = [c if k < bad else Fraction(1, 2) - Fraction(k, 1000) for k, c in enumerate(cuts)]
    files.spec.write_text('verifex = 1\n[region]\nbox = { lo = [0.25], hi = [9] }\n[[require]]\n'
                          'output = "logit:0"\nat_least = 1\n', encoding="utf-8")
    lines: list[Any] = []
    for at in cuts[: bad + 1]:
        lines += [{"input": [0, str(at)]}, {"leaf": 1}]
    files.write([{"vxc": 2}, *lines, {"leaf": 1}])
    names = [str(files.network), str(files.spec), str(files.proof)]
    answers = [ck.work(names, (k, 2))[0] for k in range(2)]
    assert answers == ([1, 0] if bad < 16 else [0, 1])


def _matrix(rng: random.Random) -> tuple[list[dict[int, int]], int]:
    """Rows of a random matrix, some of them sparse, with short and long entries and with zeros."""
    height, width = rng.randint(1, 12), rng.randint(1, 12)
    dense, size = rng.choice((0.1, 0.5, 1.0)), rng.choice((1, 30, 33, 70, 200))
    rows = [{i: rng.randint(-(1 << size), 1 << size) for i in range(width) if rng.random() < dense}
            for _ in range(height)]
    return [{i: v for i, v in row.items() if v} for row in rows], width


def test_products_with_a_matrix_are_exact() -> None:
    """In lanes or row by row, also at the largest sums that a lane has to hold, and for zeros."""
    rng, lanes, single = random.Random(5), 0, 0
    for _ in range(600):
        rows, width = _matrix(rng)
        table = ck.PackedRows([ck.packed(row, width) for row in rows], width)
        for size in (0, 1, 31, 32, 33, 64, 150):
            top = (1 << size) - 1
            row = rng.choice(rows)
            for x in ([rng.randint(-top, top) for _ in range(width)], [0] * width,
                      [top if row.get(i, 1) > 0 else -top for i in range(width)],
                      [-top if row.get(i, 1) > 0 else top for i in range(width)],
                      [rng.choice((0, top)) for _ in range(width)]):
                wanted = [sum(v * x[i] for i, v in row.items()) for row in rows]
                assert table.product(x) == table.plain_product(x) == wanted
                zero = [rng.random() < 0.3 for _ in rows]
                skip = [-rng.randrange(2) * int(not z) for z in zero], [int(not z) for z in zero]
                skipped = [0 if z else w for z, w in zip(zero, wanted, strict=True)]
                assert table.product(x, skip) == skipped
        lanes, single = lanes + table.dense, single + (not table.dense)
    assert min(lanes, single) > 50
