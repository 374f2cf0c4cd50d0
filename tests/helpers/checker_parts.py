"""The parts of the checker that tests name, from its modules."""

from __future__ import annotations

from verifex.certificate.checker.bounds.at_point import exactly as exactly
from verifex.certificate.checker.bounds.balls import shares as shares
from verifex.certificate.checker.bounds.domain import Domain as Domain
from verifex.certificate.checker.bounds.domain import Split as Split
from verifex.certificate.checker.bounds.grid import Grid as Grid
from verifex.certificate.checker.bounds.plain import PlainBounds as PlainBounds
from verifex.certificate.checker.bounds.substitution import lower_bound as lower_bound
from verifex.certificate.checker.command import check as check
from verifex.certificate.checker.command import load as load
from verifex.certificate.checker.command import main as main
from verifex.certificate.checker.command import work as work
from verifex.certificate.checker.failures import Bad as Bad
from verifex.certificate.checker.failures import Empty as Empty
from verifex.certificate.checker.failures import at as at
from verifex.certificate.checker.files import read as read
from verifex.certificate.checker.graph.element_types import LETTERS as LETTERS
from verifex.certificate.checker.graph.network_graph import NetworkGraph as NetworkGraph
from verifex.certificate.checker.graph.packed_rows import PackedRows as PackedRows
from verifex.certificate.checker.graph.packed_rows import packed as packed
from verifex.certificate.checker.onnx.network import Network as Network
from verifex.certificate.checker.onnx.operators.rules import RULES as RULES
from verifex.certificate.checker.onnx.signatures import SIGNATURES as SIGNATURES
from verifex.certificate.checker.onnx.signatures import existing as existing
from verifex.certificate.checker.proof.checker import Checker as Checker
from verifex.certificate.checker.proof.checker import Share as Share
from verifex.certificate.checker.spec.claim import Claim as Claim
from verifex.certificate.checker.spec.decimals import exact as exact
