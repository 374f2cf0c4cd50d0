"""The JSON of verdicts and ranges, read back: whatever does not fit is an InputError with its key.

Numbers that matter are there twice: as floats, for people and programs, and as exact text, which is
what is read. Values of nodes at a witness are floats alone: its exact point gives them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from verifex.engine.findings.reasons import Evidence, Reason
from verifex.errors import InputError
from verifex.ir.fields import show, wrong
from verifex.ir.text.checked import read_fraction
from verifex.problem.spec.messages import spec_error
from verifex.statement import ClaimStatement, Prediction, StatedFeature, StatedRegion
from verifex.version import SCHEMA


def _exact(value: object) -> Fraction:
    try:
        return read_fraction(value, "")
    except InputError:
        raise wrong(show(value), "an integer or a quotient as text") from None


ExactText = Annotated[Fraction, PlainValidator(_exact)]


def _known(value: object) -> int:
    if type(value) is not int or not 1 <= value <= SCHEMA:
        raise wrong(show(value), f"{SCHEMA}, the version of documents that is read here")
    return value


Schema = Annotated[int, PlainValidator(_known)]


class _Part(BaseModel):
    """A part of a document; keys that are only for people are passed over."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class WitnessPart(_Part):
    """See `verdict.Witness`."""

    point_exact: tuple[ExactText, ...]
    margin_exact: ExactText | None
    values: dict[str, tuple[float, ...]]
    replays: dict[str, str]


class ClosestPart(_Part):
    """See `verdict.Closest`."""

    point_exact: tuple[ExactText, ...]
    margin_exact: ExactText | None
    on_kink: bool


class MarginPart(_Part):
    """What is known of a requirement's worst margin."""

    proven_exact: ExactText | None
    claimed_at_least: float | None
    attained_exact: ExactText | None


class RegionPart(_Part):
    """See `statement.StatedRegion`."""

    size: int
    moving: int
    furthest_exact: ExactText | None
    cut: int
    more: tuple[str, ...]


class PredictionPart(_Part):
    """See `statement.Prediction`."""

    position: Annotated[int, Field(alias="class")]
    name: str
    label: str | None
    right: bool | None


class FeaturePart(_Part):
    """See `statement.StatedFeature`."""

    name: str
    rank: int
    value_exact: ExactText | None
    attribution_exact: ExactText


class StatementPart(_Part):
    """See `statement.ClaimStatement`."""

    claims: tuple[str, ...]
    assumptions: tuple[str, ...]
    region: RegionPart
    explained: str
    prediction: PredictionPart | None
    features: tuple[FeaturePart, ...]
    trivial: tuple[str, ...]
    missing: str

    def to_statement(self) -> ClaimStatement:
        where, at = self.region, self.prediction
        region = StatedRegion(where.size, where.moving, where.furthest_exact, where.cut, where.more)
        told = None if at is None else Prediction(at.position, at.name, at.label, at.right)
        features = tuple(StatedFeature(f.name, f.rank, f.value_exact, f.attribution_exact)
                         for f in self.features)
        return ClaimStatement(self.claims, region, self.assumptions, self.explained, told, features,
                         self.trivial, self.missing)


class VerdictDocument(_Part):
    """See `verdict.Verdict`. Further keys belong to its `extra`."""

    model_config = ConfigDict(extra="allow")

    schema_: Schema = Field(SCHEMA, alias="schema")
    kind: Literal["verdict"] = "verdict"
    verifex: str = ""
    sha256: dict[str, Any] | None = None
    name: str
    # Documents without a `schema` are older than it, and called it the verdict.
    outcome: Annotated[
        Literal["proved", "claimed", "refuted", "unknown"],
        Field(validation_alias=AliasChoices("outcome", "verdict")),
    ]
    reason: str
    reasons: tuple[Reason, ...]
    evidence: tuple[str, ...]
    evidence_data: tuple[Evidence, ...]
    worst_margin: MarginPart
    witness: WitnessPart | None
    seconds: float
    steps: tuple[tuple[str, float, str], ...]
    notes: tuple[str, ...]
    statement: StatementPart | None = None
    closest: ClosestPart | None = None


class EndPart(_Part):
    """See `verdict.RangeEnd`."""

    proven_exact: ExactText | None
    claimed: float | None
    claimed_by: str
    attained_exact: ExactText | None
    on_kink: bool
    proven_by: str
    open_gates: tuple[tuple[int, int], ...]
    certificate: dict[str, Any] | None
    point_exact: tuple[ExactText, ...] | None
    attained_square: ExactText | None = None


class RangeDocument(_Part):
    """See `verdict.RangeVerdict`."""

    schema_: Schema = Field(SCHEMA, alias="schema")
    kind: Literal["range"] = "range"
    sha256: dict[str, Any] | None = None
    expression: str
    low: EndPart
    high: EndPart
    reasons: tuple[Reason, ...]
    evidence_data: tuple[Evidence, ...]
    seconds: float
    notes: tuple[str, ...]


Document = TypeVar("Document", bound=_Part)


def read_document(kind: type[Document], text: str | bytes | Mapping[str, Any]) -> Document:
    """A document of this kind from JSON text, or from the data that `to_json` gives.

    Raises InputError, which names the key that is wrong.
    """
    if isinstance(text, Mapping):
        try:
            text = json.dumps(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"no JSON data: {error}", expected="a verdict", key="document"
                             ) from None
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise spec_error(error, "document") from None
