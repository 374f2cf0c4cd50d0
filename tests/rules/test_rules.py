"""Every rule is proved over all real numbers; each spoiling of it is refuted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

pytest.importorskip("z3")

from tests.rules.closing_rules import CLOSING_RULES
from tests.rules.interval_rules import INTERVAL_RULES
from tests.rules.plane_rules import PLANE_RULES
from tests.rules.prover import Prover
from tests.rules.rule import Rule, assumed, question, spoilings
from tests.rules.whole_number_rules import WHOLE_NUMBER_RULES

RULES: Mapping[str, Rule] = {
    **PLANE_RULES, **WHOLE_NUMBER_RULES, **INTERVAL_RULES, **CLOSING_RULES}


@pytest.fixture(scope="module")
def prover() -> Iterator[Prover]:
    found = Prover()
    yield found
    found.close()


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_proved(prover: Prover, name: str) -> None:
    assert prover.ask(assumed(RULES[name])) == "sat"
    assert prover.ask(question(RULES[name])) == "unsat"


@pytest.mark.parametrize("name", RULES)
def test_each_spoiling_of_a_rule_is_refuted(prover: Prover, name: str) -> None:
    names = spoilings(RULES[name])
    answers = {spoiled: prover.ask(question(RULES[name], spoiled)) for spoiled in names}
    assert answers == dict.fromkeys(names, "sat")
    assert names
