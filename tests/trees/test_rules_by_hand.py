"""Certificates about trees made by hand, and neighbours that prove too much and are refused."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import checker_parts as checker
from tests.helpers.certificate_names import atom_names, named, reading
from tests.trees.forests import Model, regressor, save

Line = dict[str, Any]
LEAF = {"leaf": 1}
# 1 below and on 1/2, 3 above; and another tree with 2 below 1/2, 0 from 1/2 on.
STAIRS = Model([("BRANCH_LEQ", 0, 0.5, [1.0], [3.0]), ("BRANCH_LT", 0, 0.5, [2.0], [0.0])],
               1, 1, [0.0])


class Asked:
    """A claim about a forest, and what the checker says to lines about it."""

    def __init__(self, folder: Path, model: Model, demand: str, box: str, more: str = "") -> None:
        self.network = save(folder / "t.onnx", regressor(model, 1), model.features, 1, 1)
        self.spec, self.proof = folder / "s.toml", folder / "p.vxc"
        self.spec.write_text(
            f"verifex = 1\n[region]\nbox = {box}\n{more}[[require]]\n"
            f'output = "logit:0"\n{demand}\n')
        self.read = reading(self.network, self.spec)

    def said(self, *lines: Line, **more: Any) -> tuple[int, str]:
        hashes = {key: hashlib.sha256(path.read_bytes()).hexdigest()
                  for key, path in (("network", self.network), ("spec", self.spec))}
        head = {"vxc": 2, **hashes, **more}
        if "witness" not in more:
            head["atoms"] = named(atom_names(self.read))
        self.proof.write_text("".join(json.dumps(line) + "\n" for line in (head, *lines)))
        found: tuple[int, str] = checker.check(
            [str(self.network), str(self.spec), str(self.proof)])
        return found


BOUND = {"bound": 0}


def cut(at: str, above: object) -> Line:
    return {"cut": [0, at, above]}


def test_a_cut_leaves_the_threshold_to_one_side(tmp_path: Path) -> None:
    """The sum is 3, at 1/2 it is 1, beyond it is 3: at least 1, in two cuts."""
    asked = Asked(tmp_path, STAIRS, "at_least = 1", "[0, 1]")
    assert asked.said(cut("1/2", 1), BOUND, LEAF, BOUND, LEAF) == (0, "valid")
    more = Asked(tmp_path, STAIRS, "at_least = 2", "[0, 1]")
    assert "leaf 1 does not close" in more.said(cut("1/2", 1), BOUND, LEAF, BOUND, LEAF)[1]
    # Its only violation is the threshold.
    assert "leaf 1 does not close" in more.said(
        cut("1/2", 1), BOUND, LEAF, cut("1/2", 0), BOUND, LEAF, BOUND, LEAF)[1]
    assert more.said(witness=["1/2"]) == (0, "valid (refutation)")
    assert "holds there" in more.said(witness=["1/4"])[1]


def test_a_cut_at_one_side_says_nothing_of_the_other(tmp_path: Path) -> None:
    """Above 1/2 the sum is 3, below it is 3: with the wrong side of the cut a leaf stays open."""
    asked = Asked(tmp_path, STAIRS, "at_least = 3", "{ lo = [0.5], hi = [1] }")
    assert "leaf 1 does not close" in asked.said(cut("1/2", 1), BOUND, LEAF, BOUND, LEAF)[1]
    assert "leaf 0 does not close" in asked.said(cut("1/2", 0), BOUND, LEAF, BOUND, LEAF)[1]
    # x >= 1/2 leaves the point 1/2; a plain split of inputs leaves it to both sides.
    assert "leaf 0 does not close" in asked.said(
        {"input": [0, "1/2"]}, BOUND, LEAF, BOUND, LEAF)[1]


def test_an_open_end_is_forgotten_when_the_end_moves(tmp_path: Path) -> None:
    """x > 0 and then x >= 1/2: 1/2 is a point of that box."""
    asked = Asked(tmp_path, STAIRS, "at_least = 3", "[0, 1]")
    proof = (cut("0", 1), cut("1/2", 0), BOUND, LEAF, BOUND, LEAF, BOUND, LEAF)
    assert "leaf 0 does not close" in asked.said(*proof)[1]


def test_an_end_that_is_left_out_stays_out(tmp_path: Path) -> None:
    """x > 1/2, and in it x <= 3/4: the lower end is still no number of the box."""
    asked = Asked(tmp_path, STAIRS, "at_least = 1", "[0, 1]")
    first = (cut("1/2", 1), cut("3/4", 1), BOUND, LEAF, BOUND, LEAF)
    assert asked.said(*first, BOUND, LEAF) == (0, "valid")
    above = Asked(tmp_path, STAIRS, "at_least = 3", "[0, 1]")
    assert "leaf 2 does not close" in above.said(*first, BOUND, LEAF)[1]  # the first two do


def test_a_box_of_which_both_ends_are_left_out_is_empty(tmp_path: Path) -> None:
    """x > 1/2 and then x < 1/2 holds nothing; x >= 1/2 and x <= 1/2 holds 1/2."""
    asked = Asked(tmp_path, STAIRS, "at_least = 3", "{ lo = [0.5], hi = [0.5] }")
    assert asked.said(cut("1/2", 1), LEAF, BOUND, LEAF)[1].endswith("leaf 1 does not close")


@pytest.mark.parametrize("entry", [
    [0, "1/2"], [0, "1/2", 2], [0, "1/2", True], [1, "1/2", 1], ["0", "1/2", 1],
    [0, "1/2", 1, 1], [0, 0.5, 1], "0"])
def test_a_cut_that_is_none_is_refused(entry: object, tmp_path: Path) -> None:
    asked = Asked(tmp_path, STAIRS, "at_least = 1", "[0, 1]")
    code, text = asked.said({"cut": entry}, BOUND, LEAF, BOUND, LEAF)
    assert code != 0
    assert text.startswith("invalid")


def test_the_least_leaf_of_each_tree_is_the_bound(tmp_path: Path) -> None:
    """Without a split: 1 + 0, exactly; a millionth more is not shown."""
    assert Asked(tmp_path, STAIRS, "at_least = 1", "[0, 1]").said(BOUND, LEAF) == (0, "valid")
    above = Asked(tmp_path, STAIRS, "at_least = 1.000001", "[0, 1]")
    assert "does not close" in above.said(BOUND, LEAF)[1]
    strict = Asked(tmp_path, STAIRS, "above = 1", "[0, 1]")
    assert "does not close" in strict.said(BOUND, LEAF)[1]
    # The other rules for the same bound: exact lines, and rows of the region with multipliers.
    rows = 'linear = ["x[0] <= 2"]\n'
    loose = Asked(tmp_path, STAIRS, "at_least = 1", "[0, 1]", rows)
    assert loose.said({**BOUND, "exact": 1, "rows": [[0, "0/1"]]}, LEAF) == (0, "valid")
    near = Asked(tmp_path, STAIRS, "at_least = 0.999", "[0, 1]", rows)
    assert near.said({**BOUND, "rows": [[0, 0, 0]]}, LEAF) == (0, "valid")


def test_plain_fast_and_piecewise_bounds_are_one(tmp_path: Path) -> None:
    """Three rules for one form on one box: in fractions by leaves, in fractions by planes, on the
    grid."""
    for box, least in (("[0, 1]", 1), ("[0, 0.25]", 3), ("{ lo = [0.75], hi = [1] }", 3)):
        read = Asked(tmp_path, STAIRS, "at_least = 0", box).read
        domain, node = read.region, read.atoms.node
        form = ({(node, 0): Fraction(1)}, Fraction(0))
        # The atom is minus the output, above 0: its negation is the output.
        by_leaves = read.deriver.piecewise.minus(0).least(domain)
        none = checker.Multipliers()
        by_planes = checker.PlainBounds(domain).lower_bound([(form, Fraction(-1))], none)
        scale = 1 << read.grid.coefficient
        fast = checker.lower_bound(domain, [(node, 0, -scale)], none)
        assert by_leaves == by_planes == least
        assert Fraction(fast, scale * read.grid.unit) == least
