"""Failures in one line: bad input exits 2, an interruption 130, a reader that is gone 141.

Only our own mistakes show a traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from databases.errors import UserError, did_you_mean
from metad2a.reports.words import seen

BAD_INPUT, INTERRUPTED, NO_READER = 2, 130, 141
RESUMABLE = {"search", "train", "retrain", "pretrain", "build"}  # commands that keep what they have done
AGAIN = "interrupted: what was measured is kept; give the same command again to go on"
STOPPED = "interrupted"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def guarded(action: Callable[[], object], *, words: Iterable[str] = ()) -> int:
    """Runs ``action`` and returns the exit status; what the user can mend is told in one line on stderr.

    ``words`` are those of the command line: they tell whether an interrupted command can go on.
    """
    try:
        result = action()
    except SystemExit as ending:
        if isinstance(ending.__context__, BrokenPipeError):  # as `metad2a info | head` ends: nothing went wrong
            return NO_READER
        raise
    except KeyboardInterrupt:
        result = INTERRUPTED
    except typer.TyperException as problem:
        return _told(_usage(problem))
    except UserError as problem:
        return _told(str(problem))
    except OSError as problem:
        if problem.errno not in _NO_ROOM:
            raise
        place = f" {problem.filename}" if problem.filename else ""
        return _told(f"cannot write{place} ({problem.strerror}): make room there or name another folder")
    status = result if isinstance(result, int) else 0
    if status == INTERRUPTED:
        print(f"\n{AGAIN if RESUMABLE & set(words) else STOPPED}", file=sys.stderr)
    return status


class GuardedGroup(TyperGroup):
    """A group of commands that ends as `guarded` does, and shows its help when nothing is asked."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command line and exits; ``standalone_mode`` is always on."""
        given = list(sys.argv[1:] if args is None else args) or ["--help"]
        _own_streams()
        run = super().main

        def act() -> object:
            _refuse_empty(given)
            return run(given, prog_name, complete_var, False, windows_expand_args, **extra)

        sys.exit(guarded(act, words=given))


def _own_streams() -> None:
    """A stream that whoever called us has closed takes all that is written, and says nothing of it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # as long as the process lives


def _refuse_empty(words: Sequence[str]) -> None:
    """Refuses an empty word, such as an unset variable leaves: as a path it would mean the folder one stands in."""
    for place, word in enumerate(words):
        option = word[:-1] if word.startswith("--") and word.endswith("=") else ""
        if not word or option:
            after = option or " ".join(words[max(0, place - 1) : place])
            raise UserError(f"given an empty text{f' after {after!r}' if after else ''}: give one, or leave it out")


def _told(message: str) -> int:
    print("error:", seen(" ".join(message.split())), file=sys.stderr)
    return BAD_INPUT


def _usage(problem: typer.TyperException) -> str:
    """The message of a mistake in the command line, with what is valid there."""
    message = problem.format_message().rstrip(".").replace("Value error, ", "")
    context: Any = getattr(problem, "ctx", None)
    if context is None:
        return message
    commands = getattr(context.command, "commands", None)
    if commands and "command" in message:
        return f"{message}: {_nearest(message, commands)}choose one of {', '.join(commands)}"
    if hasattr(problem, "option_name"):
        options = [name for each in context.command.params for name in each.opts if name.startswith("--")]
        nearest = _nearest(problem.option_name, options)
        return f"{problem.message.rstrip('.')}: {nearest}{context.command_path} knows {', '.join(options)}, --help"
    _, _, told = message.partition(": ")  # such as 'b' is not one of 'a', 'c'
    choices = told.split("'")[3::2] if "is not one of" in told else []
    return f"{message} ({_nearest(told, choices)}{context.command_path} --help tells more)"


def _nearest(given: str, known: Iterable[str]) -> str:
    """The advice ``did you mean X?`` for what is nearly a known word, which may stand in quotes in a sentence."""
    word = given.split("'")[1] if given.count("'") >= 2 else given
    return did_you_mean(word, known)
