"""What notebooks show: well-formed HTML in which every text is escaped, and short `repr`s."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import verifex
from verifex.engine.verdict import Outcome, RangeEnd, RangeVerdict, Verdict
from verifex.ir.graph import Builder
from verifex.ir.ops import Mul
from verifex.pictures import MOST_DRAWN, DrawnNode, bars, graph_picture, span, table, title

NET = Path(__file__).resolve().parent.parent / "examples/breast_cancer.onnx"
EVIL = '<script>alert("1")</script> & \'x\''


def spec(radius: str) -> verifex.Spec:
    return verifex.Spec(
        name=EVIL, region=verifex.linf(radius), explain=verifex.explain(reduce="abs"),
        input=verifex.point([0.25] * 30, names=[f"{EVIL}{i}" for i in range(30)]),
        require=[verifex.class_unchanged(), verifex.top_k(2)])


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    return {
        "proved": verifex.verify(NET, spec("1/10000")), "refuted": verifex.verify(NET, spec("1")),
        "range": verifex.bound(NET, spec("1/100"), "margin:0,1", seconds=2),
        "graph": verifex.load(NET), "spec": spec("1"), "problem": verifex.build(NET, spec("1")),
    }


def parsed(html: str) -> ET.Element:
    """The elements of a fragment, which must be well formed; no scripts, nothing from elsewhere."""
    root = ET.fromstring(f"<all>{html}</all>")
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"all", "div", "span", "table", "tr", "td", "th", "svg", "rect", "line", "text"}
    for element in root.iter():
        assert not [key for key in element.attrib if key.startswith("on") or key in ("href", "src")]
    return root


@pytest.mark.parametrize("name", ["proved", "refuted", "range", "graph"])
def test_each_is_a_picture_and_a_table(name: str, shown: dict[str, Any]) -> None:
    root = parsed(shown[name]._repr_html_())
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert "svg" in tags
    assert "table" in tags


def test_what_is_shown_is_what_was_found(shown: dict[str, Any]) -> None:
    for name in ("proved", "refuted"):
        words = list(parsed(shown[name]._repr_html_()).itertext())
        assert name.upper() in words
        assert any(EVIL in word for word in words)
    found = shown["range"]
    words = " ".join(parsed(found._repr_html_()).itertext())
    assert f"{float(found.low.attained):.9g}" in words
    assert f"{float(found.high.proven):.9g}" in words
    assert "logits" in " ".join(parsed(shown["graph"]._repr_html_()).itertext())


def test_reprs_are_short(shown: dict[str, Any]) -> None:
    for name, value in shown.items():
        assert len(repr(value)) < 200, (name, repr(value))
        assert type(value).__name__ in repr(value)
    assert repr(shown["proved"]).startswith("Verdict(")
    assert "proved" in repr(shown["proved"])


def test_a_bound_below_zero_is_not_shown_of_what_is_proved() -> None:
    verdict = Verdict(Outcome.PROVED, margin_low=Fraction(-5), name="a")
    assert "-5" not in verdict._repr_html_()
    assert "0.5" in replace(verdict, margin_low=Fraction(1, 2))._repr_html_()


def test_pieces_escape_their_texts() -> None:
    for html in (table([(EVIL, EVIL)]), table([(EVIL,)], (EVIL,)), title(EVIL, EVIL, "good"),
                 bars([(EVIL[:20], -1.0), ("b", 0.5)], EVIL), span((0, 1), (2, None), EVIL),
                 graph_picture([DrawnNode(EVIL, (), (1, 2))], {EVIL: 0}, 2, [EVIL])):
        parsed(html)
        assert "<script" not in html


@pytest.mark.parametrize("values", [
    [None, None, None, None], [0, 0, 0, 0], [1e300, -1e300, 1e308, 1e308], [1, None, None, 3],
    [float("inf"), 0, 1, 1]])
def test_ranges_of_any_kind_are_drawn(values: list[Any]) -> None:
    known = [None if v is None else Fraction(v) if abs(v) < 1e309 and v != float("inf") else None
             for v in values]
    low = RangeEnd(known[0], None, known[1], None)
    high = RangeEnd(known[2], None, known[3], None)
    parsed(RangeVerdict(EVIL, low, high)._repr_html_())


def test_a_large_graph_is_cut() -> None:
    b = Builder()
    x = b.input("x", (2,))
    for _ in range(MOST_DRAWN):
        x = b.add(Mul(), x, x)
    graph = b.build({"y": x})
    html = graph._repr_html_()
    assert f"and {len(graph.nodes) - MOST_DRAWN} more nodes" in html
    parsed(html)


def test_a_radius_has_a_short_repr() -> None:
    found = verifex.radius(NET, verifex.Spec(
        region=verifex.linf("1/100"), input=verifex.point([0.25] * 30),
        require=[verifex.class_unchanged()]), seconds=5)
    assert repr(found).startswith("RadiusVerdict(linf ")
    assert repr(found).endswith((" closed)", " open)"))
    assert len(repr(found)) < 100
