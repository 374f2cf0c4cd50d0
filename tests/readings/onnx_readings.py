"""Reads many random ONNX files with four readers and says where they disagree.

    python -m tests.readings.onnx_readings --count 12000 --seed 1
    python -m tests.readings.onnx_readings --count 12000 --seed 1 --document docs/readings.md
    python -m tests.readings.onnx_readings --one 1/Slice/17

Exit code 1 if ours ever say otherwise than each other, onnxruntime or the ONNX reference. Models
are read in child processes: what crashes one is a disagreement too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

from tests.readings import onnx_elementwise, onnx_shapes, onnx_windows
from tests.readings.onnx_maker import Maker
from tests.readings.onnx_readers import READERS, Reading, Refused, read, table

MAKERS = {**onnx_elementwise.MAKERS, **onnx_shapes.MAKERS, **onnx_windows.MAKERS}
CHUNK = 100
MEMORY, CPU_SECONDS = 4 << 30, 60  # of a child: onnxruntime loses itself in some malformed files


def seeds(count: int, seed: int) -> Iterator[str]:
    """Names of models, all operators in turn."""
    ops = list(MAKERS)
    return (f"{seed}/{ops[k % len(ops)]}/{k // len(ops)}" for k in range(count))


def build(seed: str) -> bytes:
    """The model of a name; one in three is drawn with many flaws."""
    _, op, number = seed.split("/")
    return MAKERS[op](Maker(seed, 0.12 if int(number) % 3 == 2 else 0.02))


def reading(seed: str, dead: Sequence[str] = ()) -> Reading:
    return read(build(seed), seed, seed.split("/")[1], dead)


def run(names: Sequence[str]) -> Iterator[Reading]:
    """Readings in a child process for each chunk; a chunk that dies is read one by one."""
    for k in range(0, len(names), CHUNK):
        chunk = names[k:k + CHUNK]
        found = in_child(chunk)
        if found is None:
            for name in chunk:
                alone = in_child([name]) or in_child([name], dead=("runtime",))
                yield from alone or [Reading(name, name.split("/")[1], {
                    k: Refused("died") for k in READERS}, "a reader died")]
        else:
            yield from found


def in_child(chunk: Sequence[str], dead: Sequence[str] = ()) -> list[Reading] | None:
    """The readings, None if the child died (of onnxruntime, on some malformed files)."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        sender.send([_light(reading(name, dead)) for name in chunk])

    child = context.Process(target=work)
    child.start()
    sender.close()
    try:
        found: list[Reading] | None = receiver.recv()
    except EOFError:
        found = None
    child.join()
    return found


def _light(r: Reading) -> Reading:
    """Without values, which nobody asks for any more."""
    return Reading(r.seed, r.op, {k: v if isinstance(v, Refused) else []
                                  for k, v in r.found.items()}, r.wrong)


def show(seed: str) -> None:
    data = build(seed)
    print(onnx.printer.to_text(onnx.ModelProto.FromString(data)))
    found = read(data, seed, seed.split("/")[1])
    for k, v in found.found.items():
        print(f"{k}: {v.why if isinstance(v, Refused) else v}")
    print(found.kind, found.wrong)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="OPERATOR")
    parser.add_argument("--one", default="", metavar="NAME")
    parser.add_argument("--list", default="", metavar="CLASS", help="print readings of a class")
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    if asked.one:
        show(asked.one)
        return 0
    found = []
    names = [s for s in seeds(asked.count, asked.seed) if asked.only in ("", s.split("/")[1])]
    for r in run(names):
        found.append(r)
        if r.wrong:
            print(f"{r.seed}: {r.wrong}", flush=True)
        elif asked.list == r.kind:
            print(f"{r.seed}:", *(f"\n    {k}: {v.why}" for k, v in r.found.items()
                                  if isinstance(v, Refused)))
    wrong = sum(bool(r.wrong) for r in found)
    print(table(found))
    print(f"{len(found)} readings, {wrong} disagreements")
    if asked.document is not None:
        _write(asked.document, found, asked.seed)
    return 1 if wrong else 0


def _write(page: Path, found: Sequence[Reading], seed: int) -> None:
    from tests.helpers.document import section

    wrong = sum(bool(r.wrong) for r in found)
    section(page, "Networks", f"""Written by the command below.

    python -m tests.readings.onnx_readings --count {len(found)} --seed {seed} --document {page}

{len(found)} random ONNX files (operators x operator sets 7 to 23 x attributes x element types x
storage of tensors; one in three with many flaws), each read by the engine, the checker, onnxruntime
and the ONNX reference and evaluated at three points: {wrong} disagreements. Where onnxruntime and
the reference differ, ours have to refuse (a few bugs of the reference apart, where the standard's
text decides: `doubted` in tests/readings/onnx_readers.py). "Checker refuses" is what the engine
reads alone: most are operators that the checker does not have. "Ours alone" are files for which
onnxruntime has no kernel (it refuses none of them as wrong) and the reference is no help.

{table(found)}
""")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
