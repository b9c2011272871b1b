"""The file in which a process shares its metrics, with its room on the disk reserved before it is written to."""

import errno
import os
from pathlib import Path

# Bytes of the file at first, doubled when it is full, and at most.
INITIAL_SIZE, MAX_SIZE = 1 << 16, 1 << 21


class MetricsFile:
    """
    prometheus_client maps a sparse file into memory. Where the file system has no room for a page that is written, the kernel ends
    the process with SIGBUS (mmap(2)), which is no exception. So all of the file is written with zeros first, which raises
    OSError instead, and never less of it exists than prometheus_client will use: it doubles the size of its file too.
    """

    def __init__(self, folder: str) -> None:
        # The name that prometheus_client has for the values of gauges with `multiprocess_mode="livemax"`.
        self._path = Path(folder, f"gauge_livemax_{os.getpid()}.db")
        self._size = self._used = 0

    def reserve(self, size: int) -> None:
        """Make sure that so many bytes can be added. Raises OSError if there is no room."""
        if not self._size:
            self._create()
        grown = self._size
        while self._used + size > grown:
            grown *= 2
        if grown > MAX_SIZE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if grown > self._size:
            with self._path.open("r+b", buffering=0) as file:
                file.seek(self._size)
                write_zeros(file.fileno(), grown - self._size)
            self._size = grown
        self._used += size

    def _create(self) -> None:
        # Under another name first: the other processes read every *.db file, and fail where it is empty. A file that an earlier
        # process of the same id left behind is replaced, not opened.
        temporary = self._path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            write_zeros(descriptor, INITIAL_SIZE)
            temporary.replace(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        # prometheus_client has 8 bytes at the start of the file.
        self._size, self._used = INITIAL_SIZE, 8


def write_zeros(descriptor: int, size: int) -> None:
    # Fewer bytes are written where the room ends.
    if os.write(descriptor, bytes(size)) < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
