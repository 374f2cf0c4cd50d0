"""The command: files in, one line out."""

from __future__ import annotations

import hashlib
import os
import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from .failures import Bad, Short, need
from .files import read, stream
from .onnx.network import Network
from .proof.checker import Checker, Share
from .proof.header import read_header
from .spec.claim import Claim
from .spec.decimals import exact
from .vnnlib.query import Query


def load(path: str, query: tuple[bytes, str], net: Network) -> Claim:
    """The claim of a file: a query by its name, or else a spec, which is never zipped."""
    if path.endswith((".vnnlib", ".vnnlib.gz")):
        return Query(query[0].decode(), net)
    need(hashlib.sha256(query[0]).hexdigest() == query[1], "zipped")
    spec = tomllib.loads(query[0].decode(), parse_float=lambda text: exact(text.replace("_", "")))
    return Claim(spec, os.path.dirname(path), net)


def check(files: Sequence[str]) -> tuple[int, str]:
    """(exit code, message) for a network, a spec and a certificate."""
    return work(files, (0, 1))[:2]


def work(files: Sequence[str], share: tuple[int, int]) -> tuple[int, str, str]:
    """(exit code, message, SHA-256 of the certificate's bytes as far as they were read)."""
    digest, code, place = hashlib.sha256(), 65, list[str]()
    try:
        place[:] = [os.path.basename(files[0])]
        network = read(files[0])
        place[:] = [os.path.basename(files[1])]
        query = read(files[1])
        place.clear()
        lines, code = stream(files[2], digest, place), 1
        header = read_header(next(lines, {}))
        for key, (_, found) in (("network", network), ("spec", query)):
            need(header.get(key) == found, f"header: {key}: the hash of another file")
        code, place[:] = 65, [os.path.basename(files[0])]
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(1 << 16)  # a chain of operators is as deep as it is long
        try:
            net = Network(network[0])
        finally:
            sys.setrecursionlimit(limit)
        place[:] = [os.path.basename(files[1])]
        claim = load(files[1], query, net)
        code, place[:] = 1, ["line 1"]
        return 0, Checker(claim, Share(*share), header).run(lines), digest.hexdigest()
    except Bad as error:
        if type(error) is Short:
            return 2, f"incomplete: {error}", ""
        return code, f"invalid: {': '.join(place)}: {error}", ""
    except OSError as error:
        return 65, f"invalid: {error.filename or 'a file'}: {error.strerror or error}", ""
    except MemoryError:
        return 2, "incomplete: out of memory", ""
    except Exception as error:  # whatever untrusted bytes bring about is one line, no traceback
        at = ": ".join([*place, ""])
        return code, f"invalid: {at}malformed ({type(error).__name__}: {error})", ""


def main(args: list[str]) -> int:
    *files, _, number = args if args[-2:-1] == ["--jobs"] else [*args, "--jobs", "1"]
    jobs = int(number) if number.isdecimal() else 0
    if len(files) != 3 or not 1 <= jobs <= 64:
        print("usage: checker.py NETWORK SPEC CERTIFICATE [--jobs N]", file=sys.stderr)
        return 64
    try:
        with ProcessPoolExecutor(jobs) as pool:
            run = pool.map if jobs > 1 else map
            results = list(run(work, [files] * jobs, [(k, jobs) for k in range(jobs)]))
    except Exception as error:
        results = [(1, f"invalid: a worker died ({error})", "")]
    code, word, _ = max(results, key=lambda r: (0, 2, 1, 65).index(r[0]))
    if code == 0 and len({digest for _, _, digest in results}) > 1:
        # Sound: the header's hashes tie each worker's other files to the certificate it read.
        code, word = 1, "invalid: the certificate changed while it was read"
    print("".join(c if " " <= c <= "~" else "?" for c in " ".join(word.split()))[:500])
    return code
