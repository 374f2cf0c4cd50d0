"""The text of a first spec: what is known is filled in, everything else stands there as comments
with a line of meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from verifex.ir.text.toml_text import quoted
from verifex.problem.first.columns import DataFile

SHARE = Decimal("0.01")
"""The radius, in parts of a feature's range in the data."""

_MOST_NAMED = 40
"""Features up to which each has a radius and bounds of its own."""


@dataclass(frozen=True)
class Draft:
    """What a first spec says. `point` is written out where there is no data: the sizes of inputs by
    name. `claim` are the lines of the properties, `whole` the features that the network reads as
    whole numbers."""

    network: str
    size: int
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    data: DataFile | None = None
    row: int = 0
    network_output: str | None = None
    outputs: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    explains: bool = True
    why_not: str = ""
    claim: tuple[str, ...] = ('class = "unchanged"',)
    kink: bool = False
    whole: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())


def draft_text(draft: Draft, name: str) -> str:
    """The whole spec; `name` is the file that it goes to."""
    parts = [_head(draft, name), _input(draft), _region(draft), _explain(draft), _classes(draft),
             _claims(draft)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(draft: Draft, name: str) -> list[str]:
    lines = [
        f"# A question about {draft.network}: change it, and run   verifex verify {name}",
        "# It claims: for every input of [region], each [[require]] holds.",
        *(f"# {note}" for note in draft.notes),
        "verifex = 1",
        f"network = {quoted(draft.network)}",
    ]
    if draft.network_output is not None:
        others = [o for o in draft.outputs if o != draft.network_output]
        lines.append(f"network_output = {quoted(draft.network_output)}"
                     + (f"  # the file also has {', '.join(others)}" if others else ""))
    if draft.kink:
        lines.append('kink = "zero"  # x0 lies on a kink of a ReLU: its gate counts as shut there')
    return lines


def _input(draft: Draft) -> list[str]:
    """The reference point: a row of the data, or zeros to be replaced."""
    data = draft.data
    if data is None:
        lines = ["[input]  # x0, the input that the claim is about: replace the zeros"]
        if len(draft.inputs) == 1:
            return [*lines, f"point = {_zeros(draft.inputs[0][1])}"]
        return [*lines, *(f"point.{quoted(name)} = {_zeros(shape)}"
                          for name, shape in draft.inputs)]
    lines = ["[input]  # x0, the input that the claim is about",
             f"data = {quoted(data.name)}",
             f"row = {draft.row}  # of {data.rows}, from 0"]
    if data.header is not None:
        lines.append(f"header = {str(data.header).lower()}")
    if data.target is not None:
        lines.append(f"target = {quoted(data.target)}  # the label: no feature")
    if data.drop:
        lines.append(f"drop = {_list(data.drop)}  # neither features nor the label")
    return [*lines, "# scale = { min = [...], max = [...] }  # if the network takes scaled inputs",
            '# round = "float32"  # move x0 to the nearest float32 values']


def _zeros(shape: Sequence[int]) -> str:
    """Zeros in a shape, without its leading dimensions of 1."""
    kept = list(shape)
    while len(kept) > 1 and kept[0] == 1:
        kept = kept[1:]
    text = "0"
    for count in reversed(kept):
        text = "[" + ", ".join([text] * count) + "]"
    return text if kept else "[0]"


# --- the region -----------------------------------------------------------------------------


def _region(draft: Draft) -> list[str]:
    lines = ["[region]  # which inputs: everything that is given here at once"]
    data = draft.data
    if draft.whole:
        lines.append(f"integer = {_list(_features(draft, draft.whole))}  # the network takes whole "
                     "numbers there; a radius of 1 lets them move")
    if data is None:
        return [*lines, "linf = 0.01  # every feature within so much of x0",
                "# clip = [0, 1]  # what values an input can have at all", *_comments(data)]
    if any(c.name for c in data.columns) and len(data.columns) <= _MOST_NAMED:
        # Tables by feature end [region]: what stands alone comes before them.
        return [*lines, *_comments(data), *_named_radii(data), *_named_clip(data)]
    low, high = min(c.least for c in data.columns), max(c.greatest for c in data.columns)
    return [*lines, f"linf = {radius(low, high)}  # every feature within so much of x0",
            f"clip = [{low}, {high}]  # the least and the greatest value in the data",
            *_comments(data)]


def radius(least: Decimal, greatest: Decimal) -> str:
    """A share of a range, to two digits; a hundredth where the range is a point."""
    size = (greatest - least) * SHARE
    return f"{Decimal(f'{size:.1e}').normalize():f}" if size else "0"


def _named_radii(data: DataFile) -> Iterator[str]:
    moving = [c for c in data.columns if not c.binary and c.least < c.greatest]
    sizes = {radius(c.least, c.greatest) for c in moving}
    if len(sizes) == 1 and len(moving) == len(data.columns):
        yield f"linf = {sizes.pop()}  # every feature within 1 % of its range in the data"
        return
    yield ""
    yield "# how far each feature may go from x0: 1 % of its range in the data;"
    yield "# features that are 0 or 1, and those that never change there, stay where they are"
    yield "[region.linf]"
    for c in moving:
        yield f"{quoted(c.name)} = {radius(c.least, c.greatest)}"
    if not moving:
        yield '"*" = 0'


def _named_clip(data: DataFile) -> Iterator[str]:
    """The least and the greatest values of the data, as the domain of the inputs."""
    if len({(c.least, c.greatest) for c in data.columns}) == 1:
        c = data.columns[0]
        yield ""
        yield "[region.clip]  # the domain: the least and the greatest value in the data"
        yield f"lo = {c.least}"
        yield f"hi = {c.greatest}"
        return
    yield ""
    yield "[region.clip.lo]  # the domain of each feature: its least value in the data"
    for c in data.columns:
        yield f"{quoted(c.name)} = {c.least}"
    yield "[region.clip.hi]  # and its greatest"
    for c in data.columns:
        yield f"{quoted(c.name)} = {c.greatest}"


def _comments(data: DataFile | None) -> Iterator[str]:
    names = [c.name for c in data.columns if c.name] if data else []
    some = _list(names[:2]) if names else '["x[0]"]'
    yield f"# freeze = {some}  # features that stay where they are"
    yield f"# only = {some}  # all others stay where they are"
    whole = [c.name for c in data.columns if c.name and c.whole and not c.binary] if data else []
    yield f"# integer = {_list(whole) if whole else some}  # features that take whole numbers only"
    groups = data.groups if data else ()
    shown = "[" + ", ".join(_list(g) for g in groups) + "]" if groups else f"[{some}]"
    yield f"# one_hot = {shown}  # groups of 0/1 features of which exactly one is 1"
    first = f'x[{quoted(names[0])}]'.replace('"', "'") if names else "x[0]"
    yield f'# linear = ["{first} <= 1"]  # linear constraints between features'
    yield "# l1 = 0.1  # all changes together at most so much; l2 likewise"


# --- explanation and claim ------------------------------------------------------------------


def _features(draft: Draft, places: Iterable[int]) -> list[str | int]:
    """Features as a spec names them: by the header, or by place."""
    columns = draft.data.columns if draft.data is not None else ()
    return [columns[i].name if columns and columns[i].name else i for i in places]


def _explain(draft: Draft) -> list[str]:
    lines = ["[explain]  # the explanation A(x) that properties speak of",
             'attribution = "gradient"  # or "input_x_gradient"',
             'output = "predicted"  # or "logit:1", "margin:predicted,runner_up", ...',
             'reduce = "abs"  # rank by size; "signed" keeps signs']
    others = [i for i in range(draft.size) if i not in draft.whole]
    if draft.whole and others:
        lines.append(f"features = {_list(_features(draft, others))}  # those with a derivative")
    if draft.explains:
        return lines
    return [f"# No explanation: {draft.why_not}", *(f"# {line}" for line in lines)]


def _classes(draft: Draft) -> list[str]:
    if draft.class_names:
        return ["[classes]", f"names = {_list(draft.class_names)}  # in the order of the outputs"]
    return ["# [classes]", '# names = ["no", "yes"]  # what the classes are called, in their order']


def _claims(draft: Draft) -> list[str]:
    names = [c.name for c in draft.data.columns if c.name] if draft.data else []
    one = quoted(names[0]) if names else "0"
    lines = ["# What must hold for every input of the region:", "[[require]]", *draft.claim]
    for text, meaning in (
        ("top_k = 3", "the three most important features stay the three most important"),
        ('sign = "unchanged"\n# zero = "ignore"', "no attribution changes its sign"),
        ('distance = "l1"\n# at_most = 0.1\n# relative = true',
         "the attribution moves by at most a tenth of its norm"),
        (f'component = {one}\n# at_most = 1', "the attribution of a feature stays below a bound"),
        (f'monotone = "increasing"\n# feature = {one}', "the output never falls with a feature"),
    ):
        lines += ["", f"# [[require]]  # {meaning}", f"# {text}"]
    return [*lines, "", "# [[assume]]  # only inputs at which this holds count",
            '# class = "unchanged"']


def _list(items: Sequence[str | int]) -> str:
    return "[" + ", ".join(str(i) if isinstance(i, int) else quoted(i) for i in items) + "]"
