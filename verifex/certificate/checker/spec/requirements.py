"""The tables [[require]] and [[assume]]: properties and their combinations, as formulas.

**Where negations go.** `not` is pushed down to the properties: "not all" is "any not", "not any"
is "all not". So each property is built in the polarity that it has in the claim, which is where one
can say what a division by zero counts as.

**Undefined is not true.** A share or a cosine has no value where the attribution is zero. In
`[[require]]` such a property fails there, and so does its negation; in `[[assume]]` both hold,
since what is undefined excludes nothing; the key `undefined` says it otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

from ..failures import Bad, at, need
from ..graph.forms import total
from .formulas import ClaimAtom, Formula, all_of, any_of, negate
from .properties.base import PropertyKind
from .properties.known import PROPERTIES
from .setting import PropertySetting
from .toml_values import TomlTable, filled_list, one_of, shown

COMBINATIONS = ("not", "all", "any")


class PropertyReader(NamedTuple):
    """Reads tables of properties, as they are written or negated.

    `undefined`: what counts where a property divides by zero, "fails" or "holds".
    """

    setting: PropertySetting
    undefined: str
    negated: bool = False

    def formulas(self, tables: object) -> list[Formula]:
        """The formulas of a list of tables."""
        if not isinstance(tables, list):
            raise Bad("no list of tables")
        found: list[Formula] = []
        for number, table in enumerate(tables):
            with at(f"[{number}]"):
                found.append(self.formula(table))
        return found

    def formula(self, table: object) -> Formula:
        """One property or combination: a table of one keyword."""
        if not isinstance(table, dict):
            raise Bad(f"{shown(table)} is no table")
        keyword = keyword_of(table)
        with at(keyword):
            if keyword == "not":
                # What a negation asks is stronger where what it negates is weaker.
                turned = self.setting._replace(strong=not self.setting.strong)
                opposite = self._replace(negated=not self.negated, setting=turned)
                return opposite.formula(TomlTable(table, (keyword,)).required(keyword))
            if keyword in COMBINATIONS:
                entries = TomlTable(table, (keyword,)).required(keyword)
                parts = self.formulas(filled_list(entries))
                # "not any" is "all not".
                return any_of(parts) if (keyword == "all") == self.negated else all_of(parts)
            kind = PROPERTIES[keyword]
            return self.property_formula(kind, TomlTable(table, (keyword, *kind.keys)))

    def property_formula(self, kind: PropertyKind, table: TomlTable) -> Formula:
        """A property in the polarity that it has here."""
        explanation = self.setting.explanation
        need(explanation is None or not explanation.scaled or kind.scale_free(table),
             "unsupported: it depends on the scale of a smooth output's explanation")
        built = kind.build(table, self.setting)
        built = negate(built) if self.negated else built
        if kind.true_at_zero is None:
            return built
        wanted = one_of(table.get("undefined", self.undefined), "fails holds")
        # Sound: where the attribution is zero, so are all forms of the property. What is written
        # without a division has one truth value there, and its negation the contrary.
        holds_at_zero = kind.true_at_zero(table) != self.negated
        return self.defined(built, holds_at_zero, wanted == "holds")

    def defined(self, built: Formula, holds_at_zero: bool, should_hold: bool) -> Formula:
        """The formula with the right truth value where the attribution is zero.

        Nothing has to be said if it has it already. Otherwise D, "the sum of all |A_i| is above 0",
        is joined to it: "D and formula" fails where the attribution is zero, "not D or formula"
        holds there, and both say what the formula says elsewhere.
        """
        if holds_at_zero == should_hold:
            return built
        magnitudes = self.setting.explained.magnitudes()
        some = ClaimAtom(total((form, 1) for form in magnitudes), True)
        return any_of([negate(some), built]) if should_hold else all_of([some, built])


def keyword_of(table: dict[str, object]) -> str:
    """The keyword of a property: the one keyword in the table of which no other is the property.

    Some words are both: `{ monotone = "increasing", feature = 0, output = "sum" }` is about
    monotonicity, since `output` is one of its keys; two keywords that do not explain each other
    could mean either, and are refused.
    """
    present = [word for word in (*COMBINATIONS, *PROPERTIES) if word in table]
    need(present, f"no such property: {list(table)!r:.40}")
    found = [word for word in present if set(present) <= {word, *keys_of(word)}]
    need(len(found) == 1, f"{' and '.join(present)} in one table")
    return found[0]


def keys_of(keyword: str) -> tuple[str, ...]:
    return PROPERTIES[keyword].keys if keyword in PROPERTIES else ()
