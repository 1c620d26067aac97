"""What holds for the process of the command, and is known before any command is."""

from __future__ import annotations

ESCAPED = "backslashreplace"  # characters that a stream or a file cannot hold: names stay apart
started: float | None = None  # of the program, in monotonic seconds: a budget counts imports and reading too
