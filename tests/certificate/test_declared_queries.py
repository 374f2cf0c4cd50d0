"""VNN-LIB 1.0 files declare variables as constants or as functions of nothing: both are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import checker_parts as checker
from tests.helpers.spec_nets import pair
from verifex.api import verify
from verifex.engine.verdict import Outcome
from verifex.frontend.onnx.read import load


@pytest.mark.parametrize("declare", ["(declare-const {} Real)", "(declare-fun {} () Real)"])
def test_either_declaration_is_checked(declare: str, tmp_path: Path) -> None:
    network = pair(5, tmp_path, "output").network
    graph = load(network)
    n, m = graph.input_size, sum(graph.nodes[i].size for i in graph.outputs.values())
    names = [*(f"X_{i}" for i in range(n)), *(f"Y_{i}" for i in range(m))]
    lines = [declare.format(name) for name in names]
    lines += [f"(assert (<= X_{i} 0.5))\n(assert (>= X_{i} -0.5))" for i in range(n)]
    query = tmp_path / "query.vnnlib"
    query.write_text("\n".join([*lines, "(assert (>= Y_0 1000.0))"]) + "\n")
    proof = tmp_path / "proof.vxc"
    found = verify(network, query, seconds=20, engine="search", certificate=proof)
    assert found.outcome is Outcome.PROVED
    assert checker.check([str(network), str(query), str(proof)]) == (0, "valid")
    spoiled = query.read_text().replace("declare-", "define-")
    query.write_text(spoiled)
    code, _ = checker.check([str(network), str(query), str(proof)])
    assert code != 0
