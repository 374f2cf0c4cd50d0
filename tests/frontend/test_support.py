"""The table of operators: complete, with reasons, and the same as docs/support.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.layering import ROOT
from verifex.certificate.checker.onnx.heads import HEADS_BY_DOMAIN
from verifex.certificate.checker.onnx.operators.rules import BY_DOMAIN
from verifex.cli.network import support
from verifex.frontend.onnx.operators.rules import RULES
from verifex.frontend.onnx.support import HEAD, SUPPORT, page, rows


def test_every_operator_that_is_read_has_a_line_and_no_other() -> None:
    assert {domain: set(table) for domain, table in SUPPORT.items()} == {
        domain: set(table) for domain, table in RULES.items()}


@pytest.mark.parametrize("domain", SUPPORT)
def test_what_the_checker_does_not_read_has_a_reason(domain: str) -> None:
    checked = BY_DOMAIN.get(domain, {}).keys()
    heads = HEADS_BY_DOMAIN.get(domain, {}).keys()
    for name, one in SUPPORT[domain].items():
        if name in checked:
            assert not one.unchecked, f"{name} is read"
        elif name in heads:
            assert one.unchecked, f"{name}: no reason"
        else:
            assert one.unchecked not in ("", HEAD), f"{name}: no reason"
            assert one.unchecked.split(":")[0] in ("smooth", "not yet"), name


def test_no_cell_is_blank() -> None:
    for row in rows():
        assert all(cell.strip() for cell in row), row
        assert "none" not in row[1], row


def test_the_page_is_what_the_command_writes(tmp_path: Path) -> None:
    written = tmp_path / "support.md"
    assert support(written, json=False) == 0
    assert (ROOT / "docs" / "support.md").read_text(encoding="utf-8") == written.read_text()
    assert page() == written.read_text()


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert support(None, json=True) == 0
    found = json.loads(capsys.readouterr().out)["operators"]
    assert {"operator": "Relu", "operator_sets": "7 to 23", "restricted_to": "as the standard says",
            "checker": "read"} in found
    assert support(None, json=False) == 0
    assert "LayerNormalization" in capsys.readouterr().out
