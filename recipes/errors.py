"""What can go wrong, as classes: one exit code each, a message, and a hint that is a command.

The first line of a message says what failed and which thing; further lines give both sides of a
mismatch. `cli.main` is the one place that catches these and turns them into exit codes.
"""

from __future__ import annotations


def visible(text: str) -> str:
    r"""Write as escapes (`\x1b`, `\u202e`) what a terminal obeys or does not show; lines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else _escape(one) for one in text)


def one_line(text: str) -> str:
    r"""Write a name or a value as one line: as `visible`, with `\n` and `\t` for lines and tabs."""
    return text if text.isprintable() else "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(one: str) -> str:
    return one.encode("unicode_escape").decode()


class RecipesError(Exception):
    """An expected failure.

    `message` may have several lines, without a full stop at the end; `hint`, where there is one,
    says what to do next, best as a command in backticks. Both may quote what others wrote, so they
    are made `visible`: no name in an archive or a server's answer reaches the terminal as a command.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = visible(message)
        self.hint = None if hint is None else visible(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n\nhint: {self.hint}"


class UsageError(RecipesError):
    """The command line asks for something that does not exist."""

    exit_code = 2


class SpecError(RecipesError):
    """A spec is wrong; the message names file, line, column and the dotted place."""

    exit_code = 3


class LockError(RecipesError):
    """A lock is missing, unreadable, of another format, or does not satisfy its spec."""

    exit_code = 4


class FetchError(RecipesError):
    """No origin could be reached. The same command may succeed later."""

    exit_code = 5


class AbsentError(FetchError):
    """An origin answers, and does not have what is asked of it."""


class IntegrityError(RecipesError):
    """Bytes do not have the hash that the lock names. Nothing is built from them."""

    exit_code = 6


class ToolchainError(RecipesError):
    """A toolchain or an environment cannot be solved, made or used on this machine."""

    exit_code = 7


class SandboxError(RecipesError):
    """A build cannot be isolated on this machine."""

    exit_code = 8


class BuildError(RecipesError):
    """A phase of a build failed, or its output is not what the recipe promises."""

    exit_code = 9


class VerifyError(RecipesError):
    """Two builds of one derivation differ."""

    exit_code = 10


class StoreError(RecipesError):
    """The store cannot be used: no space, no permission, another format, a damaged entry."""

    exit_code = 1


class UnjudgedError(RecipesError):
    """A budget ended before there was anything to tell."""

    exit_code = 1
