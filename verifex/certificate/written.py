"""A question given in memory as files, since the checker reads files: network, spec and data.

Written is what means the same, and that is made sure of: the bytes of a network are those that its
graph was read from, or are read again and compared, element by element, by fingerprints; the text
of a spec is read again and compared.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from itertools import count
from pathlib import Path, PurePath

from verifex.errors import InputError, UnsupportedError, VerifexError
from verifex.frontend.onnx.export import to_onnx
from verifex.frontend.onnx.read import load_bytes
from verifex.ir.fingerprints import GraphFingerprints
from verifex.ir.graph import Graph
from verifex.ir.ops import Input
from verifex.ir.text.toml_text import read_table, toml_text
from verifex.problem.document.moved import moved_document
from verifex.problem.read import Given
from verifex.problem.spec.model import Spec, parse_spec
from verifex.source import QuestionFiles, Source

NETWORK, SPEC = "network.onnx", "spec.toml"


def folder_beside(certificate: Path) -> Path:
    """Where the files of a question lie whose certificate this is (.vxc, .vxc.gz)."""
    return certificate.with_name(certificate.name.removesuffix(".gz")).with_suffix(".files")


def write_given(given: Given, folder: Path) -> QuestionFiles:
    """Write the files of a question into a folder, which is made.

    A spec that is a file stays where it is. Raises UnsupportedError for a network that no file
    means, InputError where the folder cannot be written.
    """
    network = _network_bytes(given.network)
    name = NETWORK
    if isinstance(given.network, Source) and given.network.name.endswith(".gz"):
        name += ".gz"
    siblings = given.network.siblings if isinstance(given.network, Source) else None
    files = {name: network}
    if isinstance(given.network, Source):
        files |= given.network.sibling_contents
    if isinstance(given.spec, Source):
        spec: Source[object] = given.spec
        data = {key: source.sha256 for key, source in given.data.items()}
    else:
        names = _new_names(given.data, files)
        text = spec_text(given.spec, name, names).encode()
        spec = Source(folder / SPEC, str(folder / SPEC), text, bytes)
        files[SPEC] = text
        files |= {names[key]: source.data for key, source in given.data.items()}
        data = {names[key]: source.sha256 for key, source in given.data.items()}
    _write_all(folder, files)
    return QuestionFiles(Source(folder / name, name, network, bytes, siblings), spec, data)


def spec_text(spec: Spec, network: str, names: Mapping[str, str]) -> str:
    """The text of a spec that names its network, and its data files by new names."""
    text = spec.to_toml()
    # Sound: what is written is what is asked, however it was put together.
    if parse_spec(text) != spec:
        raise UnsupportedError("the spec has no text that reads back as itself")
    document = moved_document(read_table(text), lambda name: names.get(name, name))
    return toml_text({"verifex": 1, "network": network, **{
        key: value for key, value in document.items() if key not in ("verifex", "network")}})


def _new_names(data: Iterable[str], others: Container[str] = ()) -> dict[str, str]:
    """A name beside the spec for every data file; its ending stays, which says how it is read."""
    found: dict[str, str] = {}
    for name in data:
        plain = PurePath(name).name
        taken = {NETWORK, f"{NETWORK}.gz", SPEC, *found.values()}
        numbered = (f"{k}-{plain}" if k else plain for k in count())
        found[name] = next(one for one in numbered if one not in taken and one not in others)
    return found


def _network_bytes(network: Graph | Source[Graph]) -> bytes:
    """The bytes of an ONNX file that means the network."""
    if isinstance(network, Source):
        return network.data
    if network.onnx is not None:
        return network.onnx
    try:
        data = to_onnx(network)
        again = load_bytes(data, NETWORK)
    except VerifexError as error:
        raise UnsupportedError(
            f"the graph has no ONNX form that is read again ({error})") from None
    if not same_meaning(network, again):
        raise UnsupportedError("the graph's ONNX form is not the same network (constants that are "
                               "no floats are rounded)")
    return data


def same_meaning(one: Graph, other: Graph) -> bool:
    """Whether two graphs have the same inputs, of which the same are whole numbers within the same
    ends, and outputs and heads of the same fingerprints.

    Sound: what was found of one is then true of the other (up to the chance of a collision, as in
    all certificates, and there the checker finds the proof wanting).
    """
    if _inputs(one) != _inputs(other) or list(one.outputs) != list(other.outputs):
        return False
    if one.whole_inputs != other.whole_inputs:
        return False
    first, second = GraphFingerprints(one), GraphFingerprints(other)
    nodes = [(node, other.outputs[name]) for name, node in one.outputs.items()]
    if one.heads.keys() != other.heads.keys():
        return False
    for name, head in one.heads.items():
        if head.kind != other.heads[name].kind:
            return False
        nodes.append((head.logits, other.heads[name].logits))
    return all(
        one.nodes[a].shape == other.nodes[b].shape and first.of(a) == second.of(b)
        for a, b in nodes)


def _inputs(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    ops = [(graph.nodes[i].op, graph.nodes[i].shape) for i in graph.inputs]
    return [(op.name if isinstance(op, Input) else "", shape) for op, shape in ops]


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", expected="a writable folder",
                         file=str(folder)) from None
