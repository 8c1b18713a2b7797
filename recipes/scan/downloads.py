"""Files that a script downloads, and whether it holds them against a hash."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from recipes.scan.findings import Found, Verdict, Word, is_remote, of_image, of_url
from recipes.scan.shell import Command

_TOOLS = {"curl", "wget", "aria2c", "wget2"}
_SUMS = {"sha256sum", "sha512sum", "sha384sum", "sha1sum", "shasum", "md5sum", "b2sum", "rhash"}
_DIGEST = re.compile(
    r"(?<![0-9a-fA-F])(?:[0-9a-f]{128}|[0-9a-f]{96}|[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})\b"
)
_SHELLS = {"sh", "bash", "zsh", "dash", "python", "python3", "perl"}
_WITH_VALUE = {"-o", "-O", "-H", "-d", "-X", "-A", "-e", "-u", "-m", "-P", "-w", "-T", "-C", "-K", "-b"}
_WITH_VALUE |= {
    "--output",
    "--header",
    "--retry",
    "--retry-delay",
    "--max-time",
    "--connect-timeout",
    "--user",
}
_WITH_VALUE |= {"--output-document", "--directory-prefix", "--tries", "--timeout", "--data", "--request"}
_SENDING = {"-d", "--data", "-T", "--upload-file", "--post-data", "--data-binary", "--post-file", "-F"}
_MENTIONS = {"echo", "printf", "cat", "grep", "sed", "awk", "git", "test", "[", "export", "pip", "pip3", "uv"}


def found(commands: Sequence[Command], file: str) -> Iterator[Found]:
    """Give what the commands of a script download."""
    checks = [place for place, one in enumerate(commands) if one.name in _SUMS and _is_check(one)]
    digests = [
        place for place, one in enumerate(commands) if any(_DIGEST.search(word.text) for word in one.words)
    ]
    last = min(max(checks, default=-1), max(digests, default=-1))
    for place, command in enumerate(commands):
        if command.name in _TOOLS and not any(one.text in _SENDING for one in command.words):
            for url in _urls(command):
                verdict = _judged(url, command, commands[checks[-1]].name if last >= place else None)
                yield Found(file, command.line, command.name, url.text, verdict)
        elif command.name in {"docker", "podman"} and len(command.words) > 2:  # noqa: PLR2004
            yield from _pulled(command, file)
        elif command.name not in _MENTIONS:
            yield from _wrapped(command, file)


def _urls(command: Command) -> list[Word]:
    """Give the URLs that a downloader is told; where none is written out, what may turn out to be one."""
    words = command.words[1:]
    urls = [one for one in words if is_remote(one.text) and not one.text.startswith("-")]
    if urls:
        return urls
    takes_value = _WITH_VALUE - {"-O"} if command.name == "curl" else _WITH_VALUE
    before = ["", *(one.text for one in words)]
    may_be = zip(before, words, strict=False)
    return [
        one
        for last, one in may_be
        if one.unknown and last not in takes_value and not one.text.startswith("-")
    ]


def _judged(url: Word, command: Command, check: str | None) -> Verdict:
    """Judge a download; `check` is the program that a digest in the script is given to later on."""
    piped = command.into.rpartition("/")[2]
    if piped in _SHELLS:
        return Verdict("floating", f"piped into `{piped}` as it is at that moment")
    return of_url(url, f"held against a hash by `{check}`" if check else None)


def _is_check(command: Command) -> bool:
    return any(one.text in {"--check", "--status"} or re.fullmatch("-[a-z]*c[a-z]*", one.text)
               for one in command.words)  # fmt: skip


def _wrapped(command: Command, file: str) -> Iterator[Found]:
    """Take a program that is told a URL and a digest for one that holds the one against the other."""
    words = command.words[1:]
    if any(_DIGEST.fullmatch(one.text) for one in words):
        for url in words:
            if is_remote(url.text):
                verdict = of_url(url, f"`{command.name}` is told its hash")
                yield Found(file, command.line, command.name, url.text, verdict)


def _pulled(command: Command, file: str) -> Iterator[Found]:
    if command.words[1].text == "pull":
        image = command.words[-1]
        yield Found(file, command.line, f"{command.name} pull", image.text, of_image(image))
