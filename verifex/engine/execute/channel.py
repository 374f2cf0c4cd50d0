"""Messages between processes: JSON with arrays behind it, over a socket.

A message is a length, a JSON text, and the arrays' bytes; nothing in it is ever executed. Both ends
are ours, and what arrives is used like anything else that a search proposes. A dictionary with the
key "@" stands for an array, so data that may hold any key travels as a JSON text inside a message.
"""

from __future__ import annotations

import json
import select
import socket
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

_HEAD = struct.Struct("<QQ")
_CHUNK = 1 << 20


def dumps(value: Any) -> bytes:
    """Bytes of a value made of dictionaries, lists, numbers, text, None and arrays."""
    blobs: list[bytes] = []
    at = 0

    def plain(item: Any) -> Any:
        nonlocal at
        if isinstance(item, np.ndarray):
            blobs.append(_padded(item.tobytes(), b"\0"))
            place = at
            at += len(blobs[-1])
            return {"@": [item.dtype.str, item.shape, place]}
        if isinstance(item, np.generic):
            return item.item()
        raise TypeError(f"{type(item).__name__} in a message")

    text = _padded(json.dumps(value, default=plain, separators=(",", ":")).encode(), b" ")
    return b"".join([_HEAD.pack(len(text), at), text, *blobs])


def _padded(data: bytes, filler: bytes) -> bytes:
    """Up to a multiple of 16 bytes: arrays lie where processors like them."""
    return data + filler * (-len(data) % 16)


def loads(data: bytes | bytearray) -> Any:
    """The value of a whole message; its arrays share the message's memory."""
    size, _ = _HEAD.unpack_from(data)
    start = _HEAD.size + size

    def array(item: dict[str, Any]) -> Any:
        if "@" not in item:
            return item
        kind, shape, place = item["@"]
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(data, np.dtype(kind), count, start + place).reshape(shape)

    return json.loads(data[_HEAD.size : start], object_hook=array)


class PeerGoneError(Exception):
    """Nobody is left at the other end of a channel."""


class Channel:
    """One end of a socket pair. Nothing blocks but `pump`, and that for as long as it is told."""

    def __init__(self, end: socket.socket) -> None:
        self.end, self.closed = end, False
        end.setblocking(False)
        self._out, self._in = bytearray(), bytearray()

    def fileno(self) -> int:
        return self.end.fileno()

    def close(self) -> None:
        self.closed = True
        self.end.close()

    @property
    def waiting(self) -> bool:
        """Whether something has not been sent yet."""
        return bool(self._out)

    def send(self, value: Any) -> None:
        """Queue a message; `pump` sends it."""
        self._out += dumps(value)

    def pump(self, seconds: float | None) -> None:
        """Move what can be moved; wait at most so long (None: for ever) for something to do."""
        if self.closed:
            return
        writes = [self.end] if self._out else []
        readable, writable, _ = select.select([self.end], writes, [], seconds)
        try:
            if writable:
                del self._out[: self.end.send(self._out[:_CHUNK])]
            while readable:
                data = self.end.recv(_CHUNK)
                self._in += data
                if not data:
                    self.closed = True
                    break
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def receive(self) -> Any:
        """The next message that has arrived as a whole, None if there is none."""
        if len(self._in) < _HEAD.size:
            return None
        whole = _HEAD.size + sum(_HEAD.unpack_from(self._in))
        if len(self._in) < whole:
            return None
        data = self._in[:whole]
        del self._in[:whole]
        return loads(data)

    def wait(self) -> Any:
        """Send what is queued, and wait for the next message; raises PeerGoneError."""
        while (message := self.receive()) is None:
            self.pump(None)
            if self.closed:
                raise PeerGoneError
        return message

    def flush(self) -> None:
        """Send all that is queued; raises PeerGoneError."""
        while self.waiting:
            self.pump(None)
            if self.closed:
                raise PeerGoneError


def wait_for_any(channels: Sequence[Channel], seconds: float) -> None:
    """Wait at most so long until one of the channels has something to receive or room to send."""
    there = [channel for channel in channels if not channel.closed]
    select.select(there, [channel for channel in there if channel.waiting], [], seconds)
