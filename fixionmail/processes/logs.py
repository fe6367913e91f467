"""The logs of processes: kept within bounds while their writers go on, and read from the end.

A process writes to ``<name>.log`` and is not told when that is put away as ``<name>.log.1``: its content is copied
and the file is cut to nothing, so that the writer, who appends, begins anew in it. What is written in the few
microseconds between the last copy and the cut is lost.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

READ_BYTES = 256 * 1024
"""What is read at one time."""
LINE_BYTES = 16 * 1024
"""A longer line is shown in pieces."""


def put_away(log: Path, *, larger_than: int, keep: int) -> bool:
    """Put a log away when it is larger than so many bytes; the oldest beyond ``keep`` is dropped.

    Raises:
        OSError: there is no room for the copy, or it may not be written; the log is as it was.
    """
    if _size(log) <= larger_than:
        return False
    draft = log.with_name(f"{log.name}.new")
    try:
        with log.open("r+b") as current:
            with draft.open("wb") as copy:
                shutil.copyfileobj(current, copy, READ_BYTES)
            current.truncate(0)
    except FileNotFoundError:
        return False
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    for number in range(keep - 1, 0, -1):
        with suppress(FileNotFoundError):
            _archive(log, number).replace(_archive(log, number + 1))
    draft.replace(_archive(log, 1))
    return True


class LogReader:
    """Reads one log from its end on, across the times it is put away, with bounded memory. Writes nothing.

    Lines come as they were written: whoever shows them takes out what steers a terminal.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._before = self._archives()[:1]
        self._offset = 0
        self._rest = b""

    def tail(self, lines: int) -> list[str]:
        """The last lines, a quarter of a megabyte at most; :meth:`news` goes on after them."""
        self._before, self._offset = self._archives()[:1], _size(self._log)
        for size in (LINE_BYTES, READ_BYTES):
            begin = max(0, self._offset - size)
            text = _read(self._log, begin, self._offset - begin)
            if text.count(b"\n") > lines:
                break
        if begin == 0 and text.count(b"\n") < lines:  # put away a moment ago
            older = _archive(self._log, 1)
            missing = READ_BYTES - len(text)
            text = _read(older, max(0, _size(older) - missing), missing) + text
        return _pieces(text)[-lines:] if lines else []

    def news(self) -> list[str]:
        """The whole lines written since; some of them when there are many, the rest when asked again."""
        found = self._rest + self._unread()
        end = found.rfind(b"\n") + 1
        if not end and len(found) >= LINE_BYTES:
            end = len(found)
        self._rest = found[end:]
        return _pieces(found[:end])

    def _unread(self) -> bytes:
        text = _read(self._current(), self._offset, READ_BYTES)
        while not text and self._current() != self._log:
            position = self._archives().index(_inode(self._current()))
            self._before, self._offset = self._archives()[position : position + 1], 0
            text = _read(self._current(), 0, READ_BYTES)
        self._offset += len(text)
        return text

    def _current(self) -> Path:
        """The file we are in: the one put away just after the newest that we knew, or the log itself."""
        archives = self._archives()
        known = archives.index(self._before[0]) if self._before and self._before[0] in archives else None
        position = len(archives) if known is None else known
        return _archive(self._log, position) if position else self._log

    def _archives(self) -> list[int]:
        """The files put away, newest first, by what stays the same when they are renamed."""
        found: list[int] = []
        while inode := _inode(_archive(self._log, len(found) + 1)):
            found.append(inode)
        return found


def last_lines(log: Path, lines: int) -> list[str]:
    """The last lines of a log; none when there is no log."""
    return LogReader(log).tail(lines)


def _archive(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _inode(file: Path) -> int:
    with suppress(FileNotFoundError):
        return file.stat().st_ino
    return 0


def _size(file: Path) -> int:
    with suppress(FileNotFoundError):
        return file.stat().st_size
    return 0


def _read(file: Path, begin: int, size: int) -> bytes:
    with suppress(FileNotFoundError), file.open("rb") as stream:
        stream.seek(begin)
        return stream.read(size)
    return b""


def _pieces(text: bytes) -> list[str]:
    return [
        line[at : at + LINE_BYTES].decode(errors="replace")
        for line in text.splitlines()
        for at in range(0, max(1, len(line)), LINE_BYTES)
    ]
