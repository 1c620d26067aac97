"""A process that answers questions, so that what is slow, heavy or dangerous happens outside the web process.

Parent side: `Helper.call`. Child side: `serve`. Between them: one JSON line a question, one an answer. The child ends
when its parent does, since its standard input closes; it is killed and started anew when an answer takes too long.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from databases.errors import UserError

Question = Callable[..., Any]
_LONGEST_ANSWER = 64 * 2**20


class Broken(RuntimeError):
    """The helper died or was killed over a question; the next question finds a new one."""


class Helper:
    """Runs ``python -m module`` and asks it one question at a time."""

    def __init__(self, module: str, *, timeout: float) -> None:
        self._module, self._timeout = module, timeout
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def call(self, question: str, **arguments: Any) -> Any:
        """The answer; raises UserError where the child does, `Broken` where it dies or takes too long."""
        async with self._turn:
            process = await self._running()
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(json.dumps([question, arguments]).encode() + b"\n")
                await process.stdin.drain()
                line = await asyncio.wait_for(process.stdout.readline(), self._timeout)
            except (TimeoutError, OSError, ValueError, asyncio.CancelledError) as problem:
                await self._kill()
                if isinstance(problem, asyncio.CancelledError):
                    raise
                raise Broken(question) from problem
            if not line:
                await self._kill()
                raise Broken(question)
        kind, value = json.loads(line)
        if kind == "error":
            raise UserError(value)
        if kind == "broken":
            raise Broken(f"{question}: {value}")
        return value

    async def warm(self) -> None:
        """Starts the child before anybody asks; raises `Broken` where it does not get ready."""
        await self.call("warm")

    async def close(self) -> None:
        """Ends the child."""
        await self._kill()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", self._module),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                limit=_LONGEST_ANSWER,
            )
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def serve(questions: Mapping[str, Question]) -> None:
    """The child's loop: answers what comes on standard input until it closes."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not become an answer
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            told = ["answer", questions[name](**arguments)]
        except UserError as problem:
            told = ["error", " ".join(str(problem).split())]
        except Exception as problem:  # the next question deserves an answer all the same
            told = ["broken", f"{type(problem).__name__}: {problem}"[:300]]
        print(json.dumps(told), file=answers, flush=True)
