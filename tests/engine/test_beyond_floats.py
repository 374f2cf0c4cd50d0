"""Numbers beyond the floats end in a line, and not in an exception."""

from __future__ import annotations

from pathlib import Path

import pytest

import verifex
from tests.helpers.checker_nets import save_net
from verifex.engine.verdict import Outcome
from verifex.errors import InputError

SPEC = ("verifex = 1\n[region]\nbox = [0.1, 0.9]\n{}\n"
        '[explain]\noutput = "logit:0"\n[[require]]\noutput = "logit:0"\n{}\n')
NET = [([[1, 0.5], [0.25, -1]], [0, 0]), ([[1, -1]], [0])]


def asked(folder: Path, region: str, demand: str) -> tuple[Path, Path]:
    spec = folder / "spec.toml"
    spec.write_text(SPEC.format(region, demand), encoding="utf-8")
    return save_net(folder / "net.onnx", NET), spec


def test_a_threshold_beyond_floats_is_not_searched(tmp_path: Path) -> None:
    network, spec = asked(tmp_path, "", "at_least = 1e900")
    found = verifex.verify(network, spec, seconds=5)
    assert found.outcome is Outcome.UNKNOWN
    assert "beyond 1e300" in found.reason
    network, spec = asked(tmp_path, "", "at_least = -1e900")
    assert verifex.verify(network, spec, seconds=5).outcome is Outcome.PROVED


@pytest.mark.parametrize("row", ["x[0] <= 1e900", "1e900*x[0] <= 2e900"])
def test_a_constraint_beyond_floats_is_refused(tmp_path: Path, row: str) -> None:
    network, spec = asked(tmp_path, f'linear = ["{row}"]', "at_least = -5")
    with pytest.raises(InputError, match="beyond 1e300"):
        verifex.bound(network, spec, "output", seconds=5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_proof_by_a_bound_beyond_floats_is_kept(tmp_path: Path) -> None:
    """Values of 1e380 over the region: exact leaves write them down."""
    layers = [([[1e38, 1e38], [1e38, -1e38]], [0, 0])] * 10 + [([[1, -1]], [0])]
    spec = tmp_path / "spec.toml"
    spec.write_text(SPEC.format("", "at_least = -1"), encoding="utf-8")
    found = verifex.verify(save_net(tmp_path / "net.onnx", layers), spec, seconds=10)
    assert found.outcome in (Outcome.PROVED, Outcome.REFUTED, Outcome.UNKNOWN)
