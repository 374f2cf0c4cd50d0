"""`expression`: an expression, as `verifex bound` takes it, keeps bounds.

specs/LANGUAGE.md, section "Expressions", says what each means. All are linear forms of the graph's
elements; absolute values and a maximum are relaxed elements of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ...failures import need, pick
from ...graph.forms import Form, gap, total
from ...graph.network_graph import PRODUCT, NetworkGraph
from ...graph.symbolic import SymbolicTensor
from ...onnx.operator_call import LOG_SOFTMAX
from ..explanation import absolute
from ..formulas import Formula
from ..outputs.functionals import is_output, output_of
from ..setting import PropertySetting
from ..toml_values import TomlTable, text_of
from .base import BOUND_KEYS, PropertyKind, only_zero_bounds, value_bounds, within

POSITION = re.compile("[0-9]{1,9}")
OUTPUTS = ("output", "logit", "margin", "predicted", "sum")


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    kind, whole, argument = parts_of(table)
    bounds = value_bounds(table)
    if kind == "output":
        need(not argument, f"output with an argument {argument!r:.40}")
        return setting.output_bounds(setting.explained_output, bounds)
    if kind in OUTPUTS:
        return setting.output_bounds(whole, bounds)
    need(kind in FORMS, f"no expression {whole!r:.40}")
    # Sound: outputs of a head have the order of their logits, and log-softmax their differences.
    head = setting.network.head
    need(kind != "class-margin" or head in ("", LOG_SOFTMAX) or only_zero_bounds(table),
         "unsupported: a bound of outputs that is smooth")
    return within([FORMS[kind](setting, argument)], bounds)


def parts_of(table: TomlTable) -> tuple[str, str, str]:
    """The kind of an expression, the whole text, and what stands behind the colon."""
    whole = text_of(table.required("expression"), "expression").strip(" ")
    kind, _, argument = whole.partition(":")
    return kind, whole, argument.strip(" ")


def scale_free(table: TomlTable) -> bool:
    """Outputs are no attribution, and a component's sign no matter of scale."""
    kind = parts_of(table)[0]
    return (kind not in FORMS or kind == "class-margin"
            or (kind == "component" and only_zero_bounds(table)))


def component(setting: PropertySetting, argument: str) -> Form:
    """One component, whether it is chosen or not."""
    found = setting.explained.names.find(feature(setting, argument))
    need(len(found) == 1, f"{argument!r:.40} picks {len(found)} components")
    return setting.explained.item(found[0])


def class_margin(setting: PropertySetting, argument: str) -> Form:
    """Output c, without an argument the one that is predicted, less the largest other one."""
    logits, word = setting.network.logits, argument or "predicted"
    need(len(logits) > 1, "class-margin: the network has one output")
    need(is_output(word), f"class-margin: no output {argument!r:.40}")
    chosen = output_of(word, logits, setting.reference)
    form = pick(logits, chosen, "output")
    others = [other for place, other in enumerate(logits) if place != chosen]
    return gap(form, maximum(setting.graph, others))


def distance(setting: PropertySetting, argument: str) -> Form:
    """A norm of the change of the chosen components since the reference."""
    pairs = zip(setting.explained.components, setting.reference_components(), strict=True)
    change = [total([(form, 1)], -value) for form, value in pairs]
    node = setting.graph.rows(change)
    return norm_of(setting.graph, argument, setting.graph.refs(node), nonnegative=False)


def norm(setting: PropertySetting, argument: str) -> Form:
    """The same norm of the chosen components themselves."""
    explained = setting.explained
    return norm_of(setting.graph, argument, explained.components, explained.nonnegative)


def mass(setting: PropertySetting, argument: str) -> Form:
    """The sum of absolute values over some of the chosen components."""
    explained = setting.explained
    keys = [feature(setting, part.strip(" ")) for part in argument.split(",") if part.strip(" ")]
    inside = set(explained.names.select(keys))
    need(inside, "an empty mask")
    need(inside <= set(explained.chosen), "a mask of components that are not explained")
    sizes = zip(explained.chosen, explained.magnitudes(), strict=True)
    return total((size, 1) for place, size in sizes if place in inside)


def norm_of(graph: NetworkGraph, name: str, items: list[Form], nonnegative: bool) -> Form:
    """A norm of some elements; of the l2 norm the square, which is rational."""
    if name == "l2_squared":
        node = graph.rows(items)
        return total((square, 1) for square in graph.refs(graph.op(PRODUCT, node, node)))
    need(name in ("l1", "linf"), f"no norm {name!r:.40}")
    sizes = items if nonnegative else absolute(graph, items).items
    return total((size, 1) for size in sizes) if name == "l1" else maximum(graph, sizes)


def maximum(graph: NetworkGraph, items: list[Form]) -> Form:
    """The largest element, by max(a, b) = b + relu(a - b): in each round the first half against
    the second, and what is left over goes on."""
    while len(items) > 1:
        half = len(items) // 2
        pairs = list(zip(items[:half], items[half : 2 * half], strict=True))
        above = SymbolicTensor(graph, [half], [gap(a, b) for a, b in pairs]).relu().items
        winners = [total([(b, 1), (more, 1)]) for (_, b), more in zip(pairs, above, strict=True)]
        items = winners + items[2 * half :]
    return items[0]


def feature(setting: PropertySetting, text: str) -> int | str:
    """A feature as a key: up to nine digits are a position, unless a feature is called so."""
    named = text in setting.explained.names.given
    return int(text) if POSITION.fullmatch(text) and not named else text


FORMS: Mapping[str, Callable[[PropertySetting, str], Form]] = {
    "component": component, "class-margin": class_margin, "distance": distance, "norm": norm,
    "mass": mass,
}
KIND = PropertyKind("expression", BOUND_KEYS, build, scale_free)
