"""What `verifex-vnnlib supports --CAPABILITY` answers: the queries and networks it can verify."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from verifex.errors import UsageError


def _operators() -> list[str]:
    from verifex.frontend.onnx.operators.rules import RULES

    # Equal takes constants alone; casts of computed values know float types alone, not integers
    # or bool, which is what Cast is asked for.
    return sorted(RULES[""].keys() - {"Equal", "Cast", "CastLike"})


def _opsets() -> list[str]:
    from verifex.frontend.onnx.operators.rules import OPSETS

    return [str(OPSETS[0]), str(OPSETS[-1])]


CAPABILITIES: Mapping[str, Callable[[], list[str]]] = {
    "--onnx-opset-versions": _opsets,
    "--onnx-element-types": lambda: ["real"],
    "--onnx-operators": _operators,
    "--vnnlib-versions": lambda: ["1.0", "2.0"],
    "--hidden-node-theories": lambda: ["NH", "H"],
    "--multiple-input-output-theories": lambda: ["SIO", "MIO"],
    "--multiple-network-theories": lambda: ["SNET", "MENET", "MINET", "MNET"],
    "--multiple-node-comparison-theories": lambda: ["SNC", "MNC"],
    "--arithmetic-complexity-theories": lambda: ["BND", "OUTC", "LIN", "POLY"],
    "--optimised-disjunctive-reasoning": lambda: ["true"],
    "--serialise-assignments": lambda: ["true"],
    "--unsat-proofs": lambda: ["false"],
}
"""Answers, a line each. Element types are real alone: what is computed holds for real numbers."""


def supports(words: Sequence[str]) -> str:
    """The answer to a capability; UsageError for what is none."""
    if len(words) != 1 or words[0] not in CAPABILITIES:
        asked = " ".join(words) or "nothing"
        raise UsageError(f"supports {asked}, expected one of {', '.join(CAPABILITIES)}")
    return "\n".join(CAPABILITIES[words[0]]())
