"""The shares in `shares.toml`, and random draws by them."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Collection
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("shares.toml")


@cache
def shares() -> dict[str, dict[str, int]]:
    """Every table: what may be drawn, with its weight."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def draw(rng: random.Random, table: str, without: Collection[str] = ()) -> str:
    """One key of a table, by the weights of those that are not left out."""
    left = {key: weight for key, weight in shares()[table].items() if key not in without}
    return rng.choices(list(left), list(left.values()))[0]
