"""The last word of the app's process: nobody has to wait for the system to take it apart, which takes milliseconds."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from isoclient.system.modules import os
from isoclient.wire.protocol import LEAVING

if TYPE_CHECKING:
    from isoclient.server.runtime import Pipe

__all__ = ["Departure"]

_OURS = "/proc/self"


class Departure:
    """How the process tells the test that it leaves.

    Attributes:
        pipe: where it tells that; None if it has not come so far.
    """

    pipe: Pipe | None = None

    def say_so(self, code: int) -> None:
        """To be called when the exit handlers have run.

        It is said only where nothing can be seen of the process any more but its number. So all descriptors are closed
        first, with the locks, addresses and ports that are held by them. One with a thread left, which may run on until
        the very end, says nothing; nor does one that has failed, for the system tells of that.

        Args:
            code: the exit status that it is about to have.

        Raises:
            OSError: the system has no such directory as Linux has, and nothing is said.
        """
        pipe = self.pipe
        if code or pipe is None or pipe.mux.outbox.parts or len(os.listdir(f"{_OURS}/task")) > 1:
            return
        kept = {0, 1, 2, pipe.sock.fileno()}
        for descriptor in map(int, os.listdir(f"{_OURS}/fd")):
            if descriptor not in kept:
                with contextlib.suppress(OSError):  # by which they were listed
                    os.close(descriptor)
        pipe.mux.tell(LEAVING)
        pipe.write()
