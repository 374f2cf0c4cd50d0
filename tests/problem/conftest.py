"""Two networks that queries of VNN-LIB 2.0 are about."""

from __future__ import annotations

import random

import pytest

from tests.helpers.query_texts import random_graph
from verifex.ir.graph import Graph


@pytest.fixture(scope="module")
def f() -> Graph:
    return random_graph(random.Random(1))


@pytest.fixture(scope="module")
def g() -> Graph:
    return random_graph(random.Random(2))
