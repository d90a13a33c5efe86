"""What the app's process may use, at most."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps for the app's process; hitting one is a crash that says which.

    Each counts what the app adds: a fork of a test process that uses much already is not the app's doing.

    Args:
        memory: bytes of memory (address space) beyond what the process starts with; None for no limit.
        cpu_seconds: seconds of processor time; None for no limit.
        open_files: descriptors beyond those that the process starts with; None for no limit.

    Raises:
        ValueError: a limit is not above zero.

    Example:
        >>> Limits(memory=256 * 2**20, cpu_seconds=10)
        Limits(memory=268435456, cpu_seconds=10, open_files=None)
    """

    memory: int | None = None
    cpu_seconds: int | None = None
    open_files: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"Limits({name}={value!r}): a limit is above zero, or None")

    def describe(self, name: str) -> str:
        """One of them in words, for an error.

        Example:
            >>> Limits(cpu_seconds=2).describe("cpu_seconds")
            'its limit of 2 s of processor time'
        """
        if name == "memory":
            return f"its limit of {(self.memory or 0) / 2**20:g} MiB of memory"
        if name == "cpu_seconds":
            return f"its limit of {self.cpu_seconds} s of processor time"
        return f"its limit of {self.open_files} open files"
