"""The parts of the checker that tests name, from its modules."""

from __future__ import annotations

from verifex.certificate.checker.bounds import many as many
from verifex.certificate.checker.bounds import plain as plain
from verifex.certificate.checker.bounds import substitution as substitution
from verifex.certificate.checker.bounds.at_point import ends as ends
from verifex.certificate.checker.bounds.at_point import exactly as exactly
from verifex.certificate.checker.bounds.balls import shares as shares
from verifex.certificate.checker.bounds.domain import Domain as Domain
from verifex.certificate.checker.bounds.domain import Split as Split
from verifex.certificate.checker.bounds.grid import Grid as Grid
from verifex.certificate.checker.bounds.grid import ScaledBall as ScaledBall
from verifex.certificate.checker.bounds.grid import common_odd as common_odd
from verifex.certificate.checker.bounds.lanes import Lanes as Lanes
from verifex.certificate.checker.bounds.multipliers import Choice as Choice
from verifex.certificate.checker.bounds.multipliers import Multipliers as Multipliers
from verifex.certificate.checker.bounds.plain import PlainBounds as PlainBounds
from verifex.certificate.checker.bounds.substitution import lower_bound as lower_bound
from verifex.certificate.checker.bounds.whole_numbers import choose as choose
from verifex.certificate.checker.command import check as check
from verifex.certificate.checker.command import load as load
from verifex.certificate.checker.command import main as main
from verifex.certificate.checker.command import work as work
from verifex.certificate.checker.failures import Bad as Bad
from verifex.certificate.checker.failures import Empty as Empty
from verifex.certificate.checker.failures import at as at
from verifex.certificate.checker.files import read as read
from verifex.certificate.checker.graph.fingerprints import Fingerprints as Fingerprints
from verifex.certificate.checker.graph.fingerprints import hashed as hashed
from verifex.certificate.checker.graph.fingerprints import residue as residue
from verifex.certificate.checker.graph.network_graph import NetworkGraph as NetworkGraph
from verifex.certificate.checker.graph.packed_rows import PackedRows as PackedRows
from verifex.certificate.checker.graph.packed_rows import packed as packed
from verifex.certificate.checker.onnx.network import Network as Network
from verifex.certificate.checker.onnx.operators.ml import rules as _ml_rules
from verifex.certificate.checker.onnx.operators.rules import OPERATORS as OPERATORS
from verifex.certificate.checker.proof.checker import Checker as Checker
from verifex.certificate.checker.proof.checker import Share as Share
from verifex.certificate.checker.proof.closing import Deriver as Deriver
from verifex.certificate.checker.proof.names import ARGUMENT as ARGUMENT
from verifex.certificate.checker.proof.names import ElementIndex as ElementIndex
from verifex.certificate.checker.proof.witnesses import check_witness as check_witness
from verifex.certificate.checker.proof.witnesses import inside as inside
from verifex.certificate.checker.spec.claim import Claim as Claim
from verifex.certificate.checker.spec.claim import read_spec as read_spec
from verifex.certificate.checker.spec.claim import spec_claim as spec_claim
from verifex.certificate.checker.spec.data.data_files import DataFiles as DataFiles
from verifex.certificate.checker.spec.formulas import AtLeastOf as AtLeastOf
from verifex.certificate.checker.spec.input_table import INPUT_KEYS as INPUT_KEYS
from verifex.certificate.checker.spec.input_table import read_input as read_input
from verifex.certificate.checker.spec.toml_values import TomlTable as TomlTable
from verifex.certificate.checker.spec.toml_values import exact as exact
from verifex.certificate.checker.vnnlib.query import read_query as read_query

ML_OPERATORS = _ml_rules.OPERATORS
