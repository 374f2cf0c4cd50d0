"""Data files to be read: CSV and NPY, plain and with faults."""

from __future__ import annotations

import gzip
import random
import struct
from typing import Any

from tests.readings.text_pieces import Text, decimal, faults, spoil

# --- CSV ----------------------------------------------------------------------------------------


def _quoted(rng: random.Random, cell: str) -> str:
    if '"' in cell or "," in cell or "\n" in cell or rng.random() < 0.15:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _lines(rng: random.Random, table: list[list[str]]) -> str:
    end = rng.choice(("\n", "\n", "\r\n", "\r"))
    out = rng.choice(("", "", "", "\ufeff")) + end * rng.choice((0, 0, 0, 1, 2))
    for row in table:
        out += ",".join(_quoted(rng, c) for c in row) + end
        out += end * (rng.random() < 0.05)
        if rng.random() < 0.05:
            end = rng.choice(("\n", "\r\n", "\r"))
    return out[: len(out) - len(end)] if rng.random() < 0.2 else out


def _cell(rng: random.Random) -> str:
    text = decimal(rng)
    return rng.choice((text, text, text, f" {text}", f"{text} ", f"\t{text}"))


def _header(rng: random.Random, width: int) -> list[str]:
    pool = [
        "a",
        "b",
        "ﬁ",
        "fi",
        "x[1]",
        "hours,week",
        'say "hi"',
        "two\nlines",
        " c ",
        "A",
        "label",
        "d;e",
    ]
    return rng.sample(pool, width)


def csv_file(rng: random.Random) -> Text:
    size, options = rng.randint(1, 3), dict[str, Any]()
    extra = rng.choice((0, 0, 1, 2))
    width, titled = size + extra, rng.random() < 0.7
    header = _header(rng, width)
    table = [[_cell(rng) for _ in range(width)] for _ in range(rng.randint(1, 4))]
    options |= {"data": "d.csv", "row": rng.randrange(len(table))}
    out = rng.sample(range(width), extra)
    if extra and titled and rng.random() < 0.6:
        options["target"] = header[out[0]].strip()
        if rng.random() < 0.5:
            for row in table:
                row[out[0]] = rng.choice(("yes", "no", "<=50K"))
        out = out[1:]
    if out:
        options["drop"] = [header[k].strip() if titled and rng.random() < 0.5 else k for k in out]
    if rng.random() < 0.3:
        options["header"] = titled
    options |= {"names": [f"n{k}" for k in range(size)]} if rng.random() < 0.1 else {}
    mixed = not titled and "target" in options
    lines = [header, *table] if titled else table
    files = {"d.csv": _lines(rng, lines)}
    scaled = rng.random() < 0.3
    plain = not mixed
    if scaled:
        options["minmax_of"] = "m.csv"
        order = list(range(width))
        if titled and not any(isinstance(k, int) for k in options.get("drop", [])):
            rng.shuffle(order)
        more = [[decimal(rng) for _ in range(width)] for _ in range(rng.randint(1, 3))]
        whole = [header, *more] if titled else more
        files["m.csv"] = _lines(rng, [[row[k] for k in order] for row in whole])
    for name in files:
        for _ in range(faults(rng) if not scaled or rng.random() < 0.6 else 0):
            plain = False
            files[name] = _worse(rng, files[name])
    coded = {k: v.encode("utf-8", "surrogatepass") for k, v in files.items()}
    if rng.random() < 0.1:  # named as zipped, zipped, or both
        named, zipped = rng.random() < 0.7, rng.random() < 0.7
        plain &= named == zipped
        options["data"] = "d.csv.gz" if named else "d.csv"
        data = coded.pop("d.csv")
        coded[options["data"]] = gzip.compress(data) if zipped else data
    return Text("csv", files["d.csv"], plain, size, options, coded)


def _worse(rng: random.Random, text: str) -> str:
    """A CSV text with one fault that files have."""
    kind = rng.randrange(9)
    if kind == 0:
        return text.replace(",", ";")
    if kind == 1:
        return text.replace(",", ",,", 1)
    if kind == 2:
        at = text.find("\n")
        return text if at < 0 else text[:at] + "," + text[at:]
    if kind == 3:
        return rng.choice((" \n", ",\n", "\t\r\n", "\r", '""\n', "# note\n", "sep=,\n")) + text
    if kind == 4:
        return text.replace("\n", "\r", 1)
    if kind == 5:
        return "\ufeff" + text
    return spoil(rng, text, 1)


# --- NPY ----------------------------------------------------------------------------------------

TYPES = {
    "<f4": "<f",
    "<f8": "<d",
    ">f4": ">f",
    "<i2": "<h",
    ">i8": ">q",
    "|u1": "B",
    "|i1": "b",
    "<u8": "<Q",
    "<f2": "<e",
}


def npy_file(rng: random.Random) -> Text:
    size, rows = rng.randint(1, 3), rng.randint(1, 3)
    kind = rng.choice(list(TYPES))
    values = [rng.choice((0, 1, 2, 7, 100)) / (2 if "f" in kind else 1) for _ in range(size * rows)]
    cast = float if "f" in kind else int
    body = b"".join(struct.pack(TYPES[kind], cast(v)) for v in values)
    shape = rng.choice(
        (f"({rows}, {size})", f"({rows}, {size})", f"({rows}, {size},)", f"({rows}, 1, {size})")
    )
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    times = rng.choice((0, 0, 1, 2))
    plain = not times
    for _ in range(times):
        head = rng.choice(
            (
                head.replace("False", "True"),
                head.replace(kind, kind[1:]),
                spoil(rng, head, 1),
                head.replace("'shape'", "'shape': (1,), 'shape'"),
                head.replace("'", '"'),
                head.replace(", }", "}"),
                head.replace(kind, "=" + kind[1:]),
                head.replace(" ", ""),
                head.replace(kind, "|b1"),
                head.replace(kind, "<f8"),
            )
        )
    version = rng.choice((1, 1, 1, 2, 3))
    coded = head.encode("utf-8") if version == 3 else head.encode("latin-1", "replace")
    width = 2 if version == 1 else 4
    coded += b" " * (-(8 + width + len(coded) + 1) % 64) + b"\n"
    data = b"\x93NUMPY" + bytes([version, 0]) + len(coded).to_bytes(width, "little") + coded + body
    options: dict[str, Any] = {"data": "d.npy", "row": rng.randrange(rows)}
    if rng.random() < 0.05:
        options["header"] = False
        plain = False
    return Text("npy", head, plain, size, options, {"d.npy": data})
