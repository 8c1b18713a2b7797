"""What the git commands of a script bring in: clones, and what is then checked out of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from recipes.scan.findings import Found, Verdict, Word, is_remote, of_ref
from recipes.scan.shell import Command

_WITH_VALUE = {"-b", "--branch", "--depth", "-o", "--origin", "--reference", "-j", "--jobs", "-c", "--config"}
_WITH_VALUE |= {"--separate-git-dir", "--filter", "-u", "--upload-pack", "--template", "--shallow-since"}
_WITH_VALUE |= {"--revision", "--shallow-exclude", "--server-option", "-C", "--git-dir", "--work-tree"}
_NEAR = 100  # clones back that a `git checkout` may be about
_REF = {"-b", "--branch", "--revision"}


@dataclass
class _Clone:
    line: int
    kind: str
    url: Word
    place: str
    ref: Word | None = None


@dataclass(frozen=True)
class _Call:
    """`git [-C DIR] NAME ARGUMENTS`, taken apart."""

    line: int
    name: str
    directory: str
    options: tuple[tuple[str, Word | None], ...]
    words: tuple[Word, ...]
    paths_only: bool

    def has(self, *names: str) -> bool:
        return any(name in names for name, _ in self.options)

    def value(self, names: set[str]) -> Word | None:
        return next((value for name, value in self.options if name in names and value), None)


def found(commands: Sequence[Command], file: str) -> Iterator[Found]:
    """Give the repositories that a script clones, each as it is when the script has checked out of it."""
    clones: list[_Clone] = []
    here = ""
    for command in commands:
        if command.name in {"cd", "pushd"} and len(command.words) > 1:
            here = _last(command.words[-1].text)
        elif command.name in {"git", "${GIT_EXECUTABLE}"}:
            call = _taken_apart(command)
            yield from _step(call, clones, call.directory or here, file)
    yield from (_told(one, file) for one in clones)


def _step(call: _Call, clones: list[_Clone], here: str, file: str) -> Iterator[Found]:
    if call.name in {"clone", "remote"}:
        clones.extend(_cloned(call, here))
    elif call.name in {"checkout", "switch", "reset", "fetch"}:
        yield from _moved(call, clones, here, file)
    elif call.name == "pull":
        yield Found(file, call.line, "git pull", _shown(call), Verdict("floating", "whatever is there then"))
    elif call.name == "submodule" and call.has("--remote"):
        why = Verdict("floating", "`--remote` takes the heads of branches")
        yield Found(file, call.line, "git submodule", _shown(call), why)
    elif call.name == "submodule" and call.words and call.words[0].text == "add":
        clones.extend(_cloned(call, here))


def _taken_apart(command: Command) -> _Call:
    words = list(command.words[1:])
    directory, name = "", ""
    while words and not name:
        word = words.pop(0).text
        if word in {"-C", "-c", "--git-dir", "--work-tree"} and words:
            value = words.pop(0).text
            directory = _last(value) if word == "-C" else directory
        elif not word.startswith("-"):
            name = word
    options, rest, paths_only = _sorted(words)
    return _Call(command.line, name, directory, options, rest, paths_only)


def _sorted(
    words: Sequence[Word],
) -> tuple[tuple[tuple[str, Word | None], ...], tuple[Word, ...], bool]:
    options: list[tuple[str, Word | None]] = []
    rest: list[Word] = []
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.text.partition("=")
        if word.text == "--":
            return tuple(options), (*rest, *left), True
        if not word.text.startswith("-"):
            rest.append(word)
        elif equals:
            options.append((name, Word(value, word.unknown, word.candidates)))
        else:
            options.append((name, left.pop(0) if name in _WITH_VALUE and left else None))
    return tuple(options), tuple(rest), False


def _cloned(call: _Call, here: str) -> Iterator[_Clone]:
    words, kind = call.words, f"git {call.name}"
    if call.name != "clone":  # `remote add NAME URL`, `submodule add URL`
        is_add = bool(words) and words[0].text == "add"
        words = words[2:] if is_add and call.name == "remote" else words[1:] if is_add else ()
        kind += " add"
    if not words or not (words[0].unknown or is_remote(words[0].text)):
        return  # nothing, or a repository on the same machine
    place = _last(words[1].text) if len(words) > 1 else _last(words[0].text).removesuffix(".git")
    yield _Clone(call.line, kind, words[0], here if call.name == "remote" else place, call.value(_REF))


def _moved(call: _Call, clones: list[_Clone], here: str, file: str) -> Iterator[Found]:
    """Take note of what is checked out, of the clone it is in: by its directory, else of the last one."""
    ref = _checked_out(call)
    if ref is None:
        return
    named = [one for one in clones[-_NEAR:] if here and one.place == here]
    if named or clones:
        (named or clones)[-1].ref = ref
    elif call.name == "checkout":
        yield Found(file, call.line, "git checkout", ref.text, of_ref(_plain(ref)), ref=ref.text)


def _checked_out(call: _Call) -> Word | None:
    words = call.words
    if call.name == "reset" and not call.has("--hard"):
        return None
    if call.name == "fetch":
        return words[1] if len(words) == 2 and ":" not in words[1].text else None  # noqa: PLR2004 - REMOTE REF
    if call.paths_only or (call.has("-b", "-B", "-c", "-C", "--orphan") and not words):
        return None
    first = words[0] if len(words) == 1 else None
    return None if first is None or first.text in {".", "FETCH_HEAD", "HEAD", "-"} else first


def _plain(ref: Word) -> Word:
    return Word(ref.text.removeprefix("tags/"), ref.unknown, ref.candidates)


def _told(clone: _Clone, file: str) -> Found:
    ref = clone.ref and _plain(clone.ref)
    verdict = of_ref(ref)
    if clone.url.unknown and verdict.severity != "pinned":
        verdict = of_ref(Word(clone.url.text, True, clone.url.candidates))
    url = None if clone.url.unknown else clone.url.text
    text = ref.text if ref else None
    return Found(file, clone.line, clone.kind, clone.url.text, verdict, url=url, ref=text)


def _shown(call: _Call) -> str:
    return " ".join(["git", call.name, *(one.text for one in call.words)])


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2].rpartition(":")[2]
