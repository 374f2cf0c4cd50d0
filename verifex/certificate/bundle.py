"""Bundles: folders of certificates with the files that they name, checked many at a time.

A certificate names its network and its spec by SHA-256; which file of the bundle that is, is found
by these hashes. Nothing rests on what is found: the checker reads all three files anew.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from verifex.certificate.grant import CheckerAnswer, run_checker
from verifex.certificate.lines import first_line
from verifex.errors import InputError

CERTIFICATES = (".vxc", ".vxc.gz")
NETWORKS = (".onnx", ".onnx.gz")
SPECS = (".toml", ".vnnlib", ".vnnlib.gz")

UNREADABLE, INVALID, VALID = 65, 1, 0


@dataclass(frozen=True)
class BundleEntry:
    """A certificate and the files that it names; or, where there is nothing to check, why not, with
    the exit code that this stands for."""

    certificate: Path
    network: Path | None = None
    spec: Path | None = None
    trouble: str = ""
    code: int = UNREADABLE


@dataclass(frozen=True)
class BundleAnswer:
    """What came of one certificate. `code` is the checker's; None where it gave no answer."""

    entry: BundleEntry
    text: str
    code: int | None
    seconds: float = 0.0
    size: int = 0

    @property
    def refutes(self) -> bool:
        """Whether the checker accepted a witness: the claim is false."""
        return self.code == VALID and self.text == "valid (refutation)"


@dataclass
class _Index:
    """The files below some folders by their hashes, and in the order of their names."""

    by_hash: dict[str, list[Path]] = field(default_factory=dict)

    def add(self, folder: Path, endings: tuple[str, ...]) -> None:
        for path in _files(folder, endings):
            self.by_hash.setdefault(_sha256(path), []).append(path)

    def named(self, digest: object, near: Path) -> list[Path]:
        """The files of a hash, those beside a certificate first."""
        found = self.by_hash.get(digest, []) if isinstance(digest, str) else []
        return sorted(found, key=lambda path: path.parent != near.parent)


def entries(folder: Path, extra: Sequence[Path] = ()) -> list[BundleEntry]:
    """The certificates below a folder, with their files from there and from the folders `extra`.

    Raises InputError where there is none, or where a folder or a file cannot be read.
    """
    networks, specs = _Index(), _Index()
    for place in (folder, *extra):
        if not place.is_dir():
            raise InputError("cannot be read", expected="a folder", file=str(place))
        networks.add(place, NETWORKS)
        specs.add(place, SPECS)
    found = [_entry(path, networks, specs) for path in _files(folder, CERTIFICATES)]
    if not found:
        raise InputError(
            "holds no certificate", expected="files *.vxc or *.vxc.gz", file=str(folder))
    return found


def _entry(certificate: Path, networks: _Index, specs: _Index) -> BundleEntry:
    try:
        header = first_line(certificate)
    except OSError as error:
        return BundleEntry(certificate, trouble=f"cannot be read: {error.strerror or error}")
    except InputError as error:
        # Not what a certificate is, which is the checker's word too for such a file.
        return BundleEntry(certificate, trouble=f"invalid: {error}", code=INVALID)
    external = header.get("external", {})
    network, trouble = _chosen(
        networks.named(header.get("network"), certificate),
        external if isinstance(external, dict) else {})
    if network is None:
        return BundleEntry(certificate, trouble=_missing("network", header))
    if trouble:
        return BundleEntry(certificate, network, trouble=trouble)
    data = header.get("data", {})
    spec, trouble = _chosen(
        specs.named(header.get("spec"), certificate), data if isinstance(data, dict) else {})
    if spec is None:
        return BundleEntry(certificate, network, trouble=_missing("spec", header))
    return BundleEntry(certificate, network, spec, trouble)


def _missing(key: str, header: Mapping[str, Any]) -> str:
    return f"missing: no file is the {key} with SHA-256 {header.get(key)!s:.64}"


def _chosen(candidates: Sequence[Path], data: Mapping[str, Any]) -> tuple[Path | None, str]:
    """The first file beside which the data files lie; what is missing, if that is so of all.

    Copies of one spec may lie beside different data: those with the right hashes are preferred.
    """
    present = [
        path for path in candidates if all((path.parent / name).is_file() for name in data)]
    if not present:
        lacking = [
            name for path in candidates[:1] for name in data
            if not (path.parent / name).is_file()]
        what = f"missing: {lacking[0]}, which {candidates[0].name} names" if lacking else "missing"
        return (candidates[0] if candidates else None), what
    if len(present) > 1:
        present.sort(key=lambda path: any(
            _sha256(path.parent / name) != digest for name, digest in data.items()))
    return present[0], ""


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.name.endswith(endings) and path.is_file())


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from None


def check_entries(
    found: Sequence[BundleEntry], jobs: int, seconds: float | None
) -> Iterator[BundleAnswer]:
    """Check certificates, `jobs` at once, each in a process of its own with so many seconds; the
    answers in their order. No process is left when the iterator is closed, or when it raises."""
    stop = Event()
    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = [pool.submit(_check, entry, seconds, stop) for entry in found]
        for future in waiting:
            yield _result(future)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _result(future: Future[BundleAnswer]) -> BundleAnswer:
    """As `future.result()`, which hears no Ctrl-C on some systems if it waits without limit."""
    while True:
        try:
            return future.result(timeout=0.5)
        except TimeoutError:
            if future.done():
                raise


def _check(entry: BundleEntry, seconds: float | None, stop: Event) -> BundleAnswer:
    if entry.trouble or entry.network is None or entry.spec is None:
        return BundleAnswer(entry, entry.trouble, entry.code)
    try:
        answer = run_checker(entry.network, entry.spec, entry.certificate, seconds, stop=stop)
    except OSError as error:
        return BundleAnswer(entry, f"cannot be read: {error.strerror or error}", UNREADABLE)
    return _of(entry, answer)


def _of(entry: BundleEntry, answer: CheckerAnswer) -> BundleAnswer:
    return BundleAnswer(entry, answer.text, answer.code, answer.seconds, answer.size)


def kinds(answers: Sequence[BundleAnswer]) -> Mapping[str, int]:
    """How many claims are proved, are refuted, have certificates that are invalid, and so on."""
    words = {INVALID: "invalid", 2: "incomplete", UNREADABLE: "unreadable", None: "not checked"}
    counts = Counter(
        ("refuted" if a.refutes else "proved") if a.code == VALID else words[a.code]
        for a in answers)
    order = ("proved", "refuted", "invalid", "incomplete", "not checked", "unreadable")
    return {word: counts[word] for word in order}


def exit_code(answers: Sequence[BundleAnswer]) -> int:
    """0 if all are valid; else 65 if something cannot be read, 1 if one is invalid, 2 otherwise."""
    codes = {2 if a.code is None else a.code for a in answers}
    return next((code for code in (UNREADABLE, INVALID, 2) if code in codes), VALID)
