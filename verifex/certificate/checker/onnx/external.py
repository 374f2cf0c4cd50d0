"""Data of tensors that lies beside the network, in files that it names.

ONNX: `external_data` of a tensor has entries of text: `location`, the file's name as seen from the
model's folder, `offset` and `length` in bytes. Only a plain file in the very folder is read; a
name with any way to another folder, a link, a pipe, or too many bytes are refused.

Sound: a claim is about the numbers that these files hold, so the certificate names each file that
a tensor of the network names by its SHA-256, and what is hashed are the bytes that are read here.
"""

from __future__ import annotations

import hashlib
import os
import stat

from ..failures import MAX_FILE, Bad, need
from .protobuf import Message

# Fields of a TensorProto, and of each entry (StringStringEntryProto).
EXTERNAL_DATA, DATA_LOCATION = 13, 14
KEY, VALUE = 1, 2
OUTSIDE = 1
"""The location of data that lies outside the file."""

ENTRIES = {"location", "offset", "length", "checksum"}
"""A checksum may be there; nobody reads it."""


def is_outside(tensor: Message) -> bool:
    """Whether a tensor's data lies in another file; refused where it says both."""
    location = tensor.integer(DATA_LOCATION)
    need(location in (0, OUTSIDE), "a wrong data location")
    need(location == OUTSIDE or not tensor.has(EXTERNAL_DATA), "data inside and outside the file")
    return location == OUTSIDE


def position(text: str) -> int:
    """A number of bytes."""
    need(text.isascii() and text.isdigit() and len(text) <= 18, "a wrong position of external data")
    return int(text)


def entries_of(tensor: Message) -> dict[str, str]:
    """Where a tensor's data lies, by key; each key once."""
    entries = dict[str, str]()
    for entry in tensor.messages(EXTERNAL_DATA):
        key = entry.text(KEY)
        need(key in ENTRIES and key not in entries, "wrong entries of external data")
        entries[key] = entry.text(VALUE)
    return entries


class ExternalFiles:
    """The files beside a network, each read once; without a folder all are refused."""

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder
        self._read: dict[str, bytes] = {}

    def hashes(self) -> dict[str, str]:
        """The SHA-256 of each file, by its name."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self._read.items()}

    def open(self, tensor: Message) -> None:
        """Read the file that a tensor names, if it names one."""
        if is_outside(tensor):
            self._file(entries_of(tensor).get("location", ""))

    def data_of(self, tensor: Message, size: int) -> bytes:
        """The bytes of a tensor, of which there have to be so many."""
        entries = entries_of(tensor)
        start = position(entries.get("offset", "0"))
        need(position(entries.get("length", str(size))) == size, "external data of another length")
        data = self._file(entries.get("location", ""))
        need(start + size <= len(data), "external data is cut short")
        return data[start : start + size]

    def _file(self, name: str) -> bytes:
        if self.folder is None:
            raise Bad("unsupported tensor outside the file")
        need(name not in ("", ".", "..") and not set(name) & set("/\\\0:"),
             "external data outside the network's folder")
        if name not in self._read:
            left = MAX_FILE - sum(map(len, self._read.values()))
            self._read[name] = plain_file(os.path.join(self.folder, name), left)
        return self._read[name]


def plain_file(path: str, most: int) -> bytes:
    """All bytes of a regular file that is no link.

    The path may change between the look and the opening: no link is followed there either, and a
    pipe does not block.
    """
    try:
        need(not stat.S_ISLNK(os.lstat(path).st_mode), "external data behind a link")
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
                         | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as opened:
            status = os.fstat(opened.fileno())
            need(stat.S_ISREG(status.st_mode), "external data that is no plain file")
            need(status.st_size <= most, "external data is too big")
            return opened.read(most)
    except OSError as error:
        raise Bad(f"external data cannot be read ({error.strerror})") from None
