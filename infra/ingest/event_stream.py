"""Server-sent events out of bytes, bounded. Pure."""

from __future__ import annotations


class EventStream:
    """Puts together what arrives in pieces. Only the data of events matters here: their names, ids and retry times are passed over."""

    def __init__(self, max_bytes: int) -> None:
        """An event whose data is longer than `max_bytes` is left out and counted in `oversized`."""
        self._max_bytes = max_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_return = False
        #: Events left out because they were too long.
        self.oversized = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of each event that is complete with this piece."""
        # A line ends with CR, LF or both; a pair may come in two pieces.
        if self._after_return and piece[:1] == b"\n":
            piece = piece[1:]
            self._after_return = False
        if not piece:
            return []
        self._after_return = piece.endswith(b"\r")
        *lines, rest = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        events = []
        for line in lines:
            self._extend(line)
            data = self._ended_line()
            if data is not None:
                events.append(data)
        self._extend(rest)
        return events

    def _extend(self, part: bytes) -> None:
        # One byte more than fits is kept, which shows that it does not.
        room = self._max_bytes + len(b"data: ") + 1 - len(self._line)
        self._line += part[: max(0, room)]

    def _ended_line(self) -> bytes | None:
        line = bytes(self._line)
        self._line.clear()
        if line:
            if line.startswith(b"data:"):
                value = line[5:]
                value = value[1:] if value[:1] == b" " else value
                self._size += len(value)
                if self._size <= self._max_bytes:
                    self._data.append(value)
            return None
        data, size = b"\n".join(self._data), self._size
        self._data, self._size = [], 0
        if size > self._max_bytes:
            self.oversized += 1
            return None
        return data or None
