"""The statement of a spec: its properties in words, the region that is left, what is at x0."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from verifex.errors import InputError, UnsupportedError
from verifex.ir.decimals import parse_exact
from verifex.ir.fields import show
from verifex.ir.region import Region
from verifex.metrics import registry
from verifex.metrics.class_ import Class, predicted
from verifex.metrics.support.base import Property, Said
from verifex.metrics.support.reference import SmoothReferenceError
from verifex.metrics.support.setting import Setting
from verifex.problem.spec.model import All, AnyOf, Not, Spec
from verifex.problem.spec.words.attributed import explained_text, stated_features
from verifex.statement import ClaimStatement, Prediction, StatedFeature, StatedRegion

ONE_INPUT = "no feature moves: the claim is about one input"


def state(
    spec: Spec, setting: Setting, region: Region, radii: Sequence[Fraction | None],
    label: str | None,
) -> ClaimStatement:
    """What the spec claims, after its formulas were built: it adds no nodes.

    `radii` says how far each feature may go by the spec's box-shaped radius, before it is cut
    (None: no such radius); `label` is the cell of the data's target column.
    """
    said = [say(wanted, setting) for wanted in spec.require]
    assumed = [say(wanted, setting) for wanted in spec.assume]
    where = stated_region(region, setting.reference.point if setting.reference.known else None,
                          radii)
    missing, prediction, explained = "", None, ""
    features: tuple[StatedFeature, ...] = ()
    if setting.reference.known:
        missing, prediction = prediction_at(setting, label, spec.require)
    if spec.explain is not None:
        explained = explained_text(setting, spec.explain.attribution, spec.explain.reduce)
        ranked = dict.fromkeys(i for one in [*said, *assumed] for i in one.ranked)
        try:
            features = _features(setting, list(ranked))
        except SmoothReferenceError as error:
            missing = missing or f"no exact attribution: {error.what}"
    return ClaimStatement(
        tuple(one.text for one in said), where, tuple(one.text for one in assumed), explained,
        prediction, features, _trivial(said, where), missing)


def _features(setting: Setting, ranked: Sequence[int]) -> tuple[StatedFeature, ...]:
    return stated_features(setting, ranked) if ranked else ()


def prediction_at(
    setting: Setting, label: str | None, claims: Sequence[Property] = ()
) -> tuple[str, Prediction | None]:
    """(why there is none, the class at x0); a threshold between classes is that of the claims."""
    asked = [one for one in claims if isinstance(one, Class)]
    if setting.classes < 2 and not asked and setting.head is None:
        return "", None  # a single number may be no classifier's
    threshold = asked[0].threshold if asked else None
    try:
        position = predicted(setting, threshold=threshold)
    except (InputError, UnsupportedError) as error:
        return f"no class: {error.what}", None
    name = setting.class_names[position] if setting.class_names else ""
    return "", Prediction(position, name, label, _right(label, position, setting.class_names))


def _right(label: str | None, position: int, names: Sequence[str]) -> bool | None:
    """Whether a label names the class: by its name, or else as a whole number by its position."""
    if label is None:
        return None
    if label in names:
        return names.index(label) == position
    try:
        number = parse_exact(label)
    except ValueError:
        return None
    return number == position


def _trivial(said: Sequence[Said], where: StatedRegion) -> tuple[str, ...]:
    """Why the claim cannot fail, or is about one input."""
    found = [f"require[{k}] cannot fail: {one.trivial}"
             for k, one in enumerate(said) if one.trivial]
    return (ONE_INPUT, *found) if where.moving == 0 else tuple(found)


# --- properties -----------------------------------------------------------------------------


def say(wanted: Property, setting: Setting) -> Said:
    """A property in words."""
    match wanted:
        case Not():
            return Said(f"not ({say(wanted.not_, setting).text})")
        case All() | AnyOf():
            inner, word = ((wanted.all, " and ") if isinstance(wanted, All) else
                           (wanted.any, " or "))
            parts = [say(one, setting) for one in inner]
            sure = [one.trivial for one in parts if one.trivial]
            cannot = len(sure) == len(parts) if isinstance(wanted, All) else bool(sure)
            text = word.join(f"({one.text})" for one in parts)
            ranked = dict.fromkeys(i for one in parts for i in one.ranked)
            return Said(text, tuple(ranked), sure[0] if cannot else "")
    family = next(f for f in registry().values() if isinstance(wanted, f.model))
    return Said(_as_written(wanted)) if family.say is None else family.say(wanted, setting)


def _as_written(wanted: Property) -> str:
    """The keys of a property that are set, and their values."""
    keys = {name: field.alias or name for name, field in type(wanted).model_fields.items()}
    return ", ".join(f"{keys[name]} = {show(getattr(wanted, name))}"
                     for name in keys if name in wanted.model_fields_set)


# --- the region -----------------------------------------------------------------------------


def stated_region(
    region: Region, point: Sequence[Fraction] | None, radii: Sequence[Fraction | None]
) -> StatedRegion:
    """How many features may move, how far from x0, and what else cuts the region."""
    lo, hi = _narrowed(region)
    moving = [i for i in range(region.size) if lo[i] < hi[i]]
    furthest, cut = None, 0
    if point is not None:
        furthest = max((max(hi[i] - point[i], point[i] - lo[i]) for i in moving), default=None)
        cut = sum(1 for i in moving
                  if (r := radii[i]) and (hi[i] < point[i] + r or lo[i] > point[i] - r))
    more = [f"in the {ball.norm} ball of radius {show(ball.radius)} over {len(ball.indices)} "
            "features" for ball in region.balls]
    for count, one, many in (
        (len(region.rows), "linear inequality", "linear inequalities"),
        (len(region.integers), "takes whole numbers", "take whole numbers"),
        (len(region.one_hot), "one-hot group", "one-hot groups"),
    ):
        more += [f"{count} {one if count == 1 else many}"] if count else []
    return StatedRegion(region.size, len(moving), furthest, cut, tuple(more))


def _narrowed(region: Region) -> tuple[list[Fraction], list[Fraction]]:
    """The box cut by the constraints of one feature alone, such as `age == 0.3`."""
    lo, hi = list(region.lo), list(region.hi)
    for row in region.rows:
        given = [(i, c) for i, c in row.coefs.items() if c]
        if len(given) != 1:
            continue
        (i, c), = given
        if c > 0:
            hi[i] = min(hi[i], row.rhs / c)
        else:
            lo[i] = max(lo[i], row.rhs / c)
    return lo, hi
