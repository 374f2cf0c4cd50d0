"""A folder with a network and a spec or query, read by both sides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import checker_parts as checker
from verifex.errors import VerifexError
from verifex.frontend.onnx.export import to_onnx
from verifex.ir.formula import holds, negate
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.problem.spec.build import load_problem
from verifex.semantics.evaluate import evaluate_exact

F = Fraction
Point = Sequence[Fraction]


def identity(size: int) -> Graph:
    b = Builder()
    shape = (1, size)
    return b.build({"y": b.affine(dense(np.eye(size), shape, shape), b.input("x", shape))})


class Case:
    """A folder with a network and a spec or query, and what both sides make of it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.network, self.spec = folder / "n.onnx", folder / "s.toml"
        self.network.write_bytes(to_onnx(identity(size)))

    def write(self, text: str | bytes, name: str = "s.toml", **files: str | bytes) -> Case:
        self.spec = self.folder / name
        for path, data in (
            (self.spec, text),
            *((self.folder / k.replace("_", "."), v) for k, v in files.items()),
        ):
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        return self

    def check(self, **head: Any) -> tuple[int, str]:
        """The checker's answer to a proof of one leaf, or to the witness in `head`."""
        proof = self.folder / "p.vxc"
        digest = {
            k: hashlib.sha256(p.read_bytes()).hexdigest()
            for k, p in (("network", self.network), ("spec", self.spec))
        }
        data = {
            p.name: hashlib.sha256(p.read_bytes()).hexdigest()
            for p in self.folder.iterdir()
            if p not in (self.network, self.spec, proof)
        }
        line = {"vxc": 2, **digest, **({"data": data} if data else {}), **head}
        leaf = "" if "witness" in head else '{"leaf":1}\n'
        proof.write_text(json.dumps(line) + "\n" + leaf)
        return checker.check([str(self.network), str(self.spec), str(proof)])

    def breaks(self, x: Point) -> bool:
        """Whether a point is a counterexample, by the engine; the checker must say the same."""
        problem = load_problem(self.spec, self.network)
        values = evaluate_exact(problem.graph, tuple(x), problem.targets())
        said = problem.region.contains(x) and holds(negate(problem.require), values)
        code, text = self.check(witness=[str(v) for v in x])
        assert (code == 0) == said, text
        return said

    def refused(self, match: str | None = None) -> str:
        """Both sides refuse, in one line; the checker's line is returned."""
        with pytest.raises(VerifexError, match=match) as error:
            load_problem(self.spec, self.network)
        assert "\n" not in str(error.value)
        code, text = self.check()
        assert (code, text.split(":")[0]) == (65, "invalid")
        assert "\n" not in text
        return text

    def center(self) -> Point:
        """The middle of the region, which both sides must find."""
        problem = load_problem(self.spec, self.network)
        claim = checker.load(
            str(self.spec), checker.read(str(self.spec)), checker.Network(self.network.read_bytes())
        )
        low, high = list(problem.region.lo), list(problem.region.hi)
        assert (low, high) == (claim.region.low, claim.region.high)
        return [(a + b) / 2 for a, b in zip(problem.region.lo, problem.region.hi)]
