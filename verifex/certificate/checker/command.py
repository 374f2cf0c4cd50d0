"""The command: files in, one line out."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .failures import Bad, BadNetwork, Short, need
from .files import read, stream
from .onnx.network import Network
from .proof.checker import Checker, Share
from .proof.header import read_header
from .spec.claim import Claim, read_spec
from .vnnlib.query import read_query

VALID, INVALID, INCOMPLETE, USAGE, UNREADABLE = 0, 1, 2, 64, 65
WORST = (VALID, INCOMPLETE, INVALID, UNREADABLE)
"""The exit codes that a check can have; of several workers' the last of these counts."""
MOST_JOBS = 64


class WorkerAnswer(NamedTuple):
    """What is said of a certificate: exit code, message, and the SHA-256 of its bytes as far as
    they were read."""

    code: int
    message: str
    digest: str


def load(path: str, query: tuple[bytes, str], net: Network) -> Claim:
    """The claim of a file: a query by its name, or else a spec, which is never zipped."""
    if path.endswith((".vnnlib", ".vnnlib.gz")):
        return read_query(query[0].decode(), net)
    need(hashlib.sha256(query[0]).hexdigest() == query[1], "zipped")
    return read_spec(query[0].decode(), os.path.dirname(path), net)


def check(files: Sequence[str]) -> tuple[int, str]:
    """(exit code, message) for a network, a spec and a certificate."""
    return work(files, (0, 1))[:2]


def work(files: Sequence[str], share: tuple[int, int]) -> WorkerAnswer:
    """What one worker says of a network, a spec and a certificate.

    `place` follows what is being read, for messages; `code` what a refusal there means.
    """
    digest, code, place = hashlib.sha256(), UNREADABLE, list[str]()
    try:
        place[:] = [os.path.basename(files[0])]
        network = read(files[0])
        place[:] = [os.path.basename(files[1])]
        query = read(files[1])
        place[:] = [os.path.basename(files[2])]
        lines, code = stream(files[2], digest, place), INVALID
        header = read_header(next(lines, {}))
        for key, (_, found) in (("network", network), ("spec", query)):
            need(header.get(key) == found, f"header: {key}: the hash of another file")
        code, place[:] = UNREADABLE, [os.path.basename(files[0])]
        net = Network(network[0], os.path.dirname(files[0]) or ".")
        place[:] = [os.path.basename(files[1])]
        claim = load(files[1], query, net)
        code, place[:] = INVALID, ["line 1"]
        need(header.get("external", {}) == net.files.hashes(),
             "header: external: the hashes of other files")
        said = Checker(claim, Share(*share), header).run(lines)
        return WorkerAnswer(VALID, said, digest.hexdigest())
    except Short as error:
        return WorkerAnswer(INCOMPLETE, f"incomplete: {error}", "")
    except BadNetwork as error:
        message = f"invalid: {os.path.basename(files[0])}: {error}"
        return WorkerAnswer(UNREADABLE, message, "")
    except Bad as error:
        return WorkerAnswer(code, f"invalid: {': '.join(place)}: {error}", "")
    except OSError as error:
        where = error.filename or "a file"
        return WorkerAnswer(UNREADABLE, f"invalid: {where}: {error.strerror or error}", "")
    except MemoryError:
        return WorkerAnswer(INCOMPLETE, "incomplete: out of memory", "")
    except Exception as error:  # whatever untrusted bytes bring about is one line, no traceback
        at = ": ".join([*place, ""])
        return WorkerAnswer(code, f"invalid: {at}malformed ({type(error).__name__}: {error})", "")


def main(arguments: list[str]) -> int:
    """Print the answer in one line; the exit code."""
    *files, _, number = arguments if arguments[-2:-1] == ["--jobs"] else [*arguments, "--jobs", "1"]
    jobs = int(number) if number.isdecimal() else 0
    if len(files) != 3 or not 1 <= jobs <= MOST_JOBS:
        print("usage: checker NETWORK SPEC CERTIFICATE [--jobs N]", file=sys.stderr)
        return USAGE
    code, message = joined(answers(files, jobs))
    print("".join(c if " " <= c <= "~" else "?" for c in " ".join(message.split()))[:500])
    return code


def answers(files: Sequence[str], jobs: int) -> list[WorkerAnswer]:
    """What each of so many workers says; each reads all, and checks its share of the leaves."""
    if jobs == 1:
        return [work(files, (0, 1))]
    from concurrent.futures import ProcessPoolExecutor  # slow to import, and rarely needed

    try:
        with ProcessPoolExecutor(jobs) as pool:
            return list(pool.map(work, [files] * jobs, [(k, jobs) for k in range(jobs)]))
    except Exception as error:
        return [WorkerAnswer(INVALID, f"invalid: a worker died ({error})", "")]


def joined(found: Sequence[WorkerAnswer]) -> tuple[int, str]:
    """The exit code and message of several workers' answers.

    Sound: the header's hashes tie each worker's other files to the certificate that it read, so
    where all read the same certificate they have read the same claim.
    """
    worst = max(found, key=lambda answer: WORST.index(answer.code))
    if worst.code == VALID and len({answer.digest for answer in found}) > 1:
        return INVALID, "invalid: the certificate changed while it was read"
    return worst.code, worst.message
