"""Packages that a script installs: from which tool, in which version, held against which hash."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from recipes.scan.findings import SEVERITIES, Found, Verdict, Word, is_remote, of_ref, of_url, unresolved
from recipes.scan.shell import Command

_VERSIONED = Verdict("unhashed", "a version, and no hash")
_LOOSE = Verdict("floating", "no version: the newest")
_RANGE = Verdict("floating", "a range of versions: its newest")
_PIP = re.compile(r"(?:.*/)?pip(?:\d(?:\.\d+)?)?|pipx")
_PYTHON = re.compile(r"(?:.*/)?python(?:\d(?:\.\d+)?)?|py")
_VALUES = {  # by tool, the options that take a value
    "pip": "-i --index-url --extra-index-url -f --find-links -t --target --prefix --root --python --platform"
    " --timeout --retries --trusted-host --cache-dir --only-binary --no-binary --progress-bar -p --index"
    " --proxy --global-option --config-settings -C --index-strategy --torch-backend -d --dest"
    " --upgrade-strategy -c --constraint",
    "apt": "-o -t -c --option --target-release --default-release",
    "npm": "--prefix --registry -w --workspace --loglevel --cache",
    "cargo": "--version --vers --git --branch --tag --rev --path --root --features -F --index --registry"
    " --target -j --jobs --bin --profile --target-dir",
    "conda": "-c --channel -n --name -p --prefix -f --file",
    "gem": "-v --version -i -s --source",
    "apk": "-t --virtual -X --repository -p --root",
}


@dataclass(frozen=True)
class _Call:
    """A package manager's command taken apart: what it is told to install, and its options."""

    command: Command
    tool: str
    packages: tuple[Word, ...]
    options: tuple[tuple[str, Word | None], ...]

    def has(self, *names: str) -> bool:
        return any(name in names for name, _ in self.options)

    def value(self, *names: str) -> Word | None:
        return next((value for name, value in self.options if name in names and value), None)


def found(commands: Sequence[Command], file: str) -> Iterator[Found]:
    """Give what package managers install: one for each command and severity, the packages side by side."""
    for command in commands:
        call = _taken_apart(command)
        if call is not None:
            yield from _told(call, file)


def _told(call: _Call, file: str) -> Iterator[Found]:
    kind = _KINDS[call.tool][0]
    judged = list(_judged(call))
    for severity in SEVERITIES:
        some = [(word, verdict) for word, verdict in judged if verdict.severity == severity]
        if some:
            reasons = list(dict.fromkeys(verdict.why for _, verdict in some))
            what = " ".join(word.text for word, _ in some)
            yield Found(file, call.command.line, kind, what, Verdict(severity, "; ".join(reasons)))


def _taken_apart(command: Command) -> _Call | None:
    texts = [one.text for one in command.words]
    for tool, (_, begins) in _KINDS.items():
        if after := begins(texts):
            packages, options = _sorted(command.words[after:], set(_VALUES.get(tool, "").split()))
            return _Call(command, tool, packages, options)
    return None


def _sorted(
    words: Sequence[Word], with_value: set[str]
) -> tuple[tuple[Word, ...], tuple[tuple[str, Word | None], ...]]:
    packages: list[Word] = []
    options: list[tuple[str, Word | None]] = []
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.text.partition("=")
        if not word.text.startswith("-"):
            packages.append(word)
        elif equals:
            options.append((name, Word(value, word.unknown)))
        else:
            takes = name in with_value or name in {"-r", "--requirement", "-e", "--editable"}
            options.append((name, left.pop(0) if takes and left else None))
    return tuple(packages), tuple(options)


def _judged(call: _Call) -> Iterator[tuple[Word, Verdict]]:
    if call.tool == "pip":
        yield from _pip(call)
    elif call.tool == "cargo":
        yield from _cargo(call)
    elif call.tool == "npm":
        yield from _npm(call)
    else:
        version = re.compile(r"=" if call.tool in {"apt", "apk", "conda"} else r"[=@:-]v?\d")
        given = call.value("-v", "--version")
        for word in call.packages:
            if not _is_local(word.text):
                is_versioned = given is not None or version.search(word.text)
                yield word, unresolved(word) if word.unknown else _VERSIONED if is_versioned else _LOOSE


def _pip(call: _Call) -> Iterator[tuple[Word, Verdict]]:
    hashed = call.has("--require-hashes")
    for file in (value for name, value in call.options if name in {"-r", "--requirement"} and value):
        why = (
            "`--require-hashes`" if hashed else "only what the file itself gives a hash, is held against one"
        )
        yield Word(f"-r {file.text}"), Verdict("pinned" if hashed else "unhashed", why)
    edited = [value for name, value in call.options if name in {"-e", "--editable"} and value]
    for word in (*call.packages, *edited):
        if not _is_local(word.text):
            yield word, _requirement(word, hashed=hashed)


def _requirement(word: Word, *, hashed: bool) -> Verdict:
    if hashed:
        return Verdict("pinned", "`--require-hashes`")
    if "git+" in word.text:
        ref = word.text.partition("git+")[2].partition("#")[0].partition("://")[2].partition("/")[2]
        after = ref.partition("@")[2]
        return of_ref(Word(after, word.unknown) if after or word.unknown else None)
    if is_remote(word.text):
        return of_url(word, "its hash is in the URL" if "#sha256=" in word.text else None)
    if word.unknown:
        return unresolved(word)
    if re.search(r"===?[^*,]+$", word.text):
        return _VERSIONED
    return _RANGE if re.search(r"[<>=~!]", word.text) else _LOOSE


def _cargo(call: _Call) -> Iterator[tuple[Word, Verdict]]:
    if git := call.value("--git"):
        yield git, of_ref(call.value("--rev", "--tag", "--branch"))
        return
    version = call.value("--version", "--vers")
    for word in call.packages if not call.has("--path") else ():
        if word.unknown:
            yield word, unresolved(word)
        elif not version and "@" not in word.text:
            yield word, _LOOSE
        elif not call.has("--locked"):
            yield word, Verdict("floating", "its own dependencies, without `--locked`")
        else:
            yield word, _VERSIONED


def _npm(call: _Call) -> Iterator[tuple[Word, Verdict]]:
    texts = [one.text for one in call.command.words]
    if "ci" in texts[:2] or call.has("--frozen-lockfile", "--immutable"):
        yield Word(f"{texts[0]} packages of the lock"), Verdict("pinned", "the lock has their hashes")
        return
    if not call.packages:
        yield Word("packages of package.json"), Verdict("floating", f"`{texts[0]} install` moves its lock")
    for word in call.packages:
        if not _is_local(word.text):
            is_versioned = re.search(r".@v?\d+\.\d+\.\d+", word.text)
            yield word, unresolved(word) if word.unknown else _VERSIONED if is_versioned else _LOOSE


def _is_local(text: str) -> bool:
    return text.startswith((".", "/", "~", "<", ">")) or (
        text.endswith((".whl", ".deb", ".rpm", ".tgz", ".tar.gz")) and "://" not in text
    )


def _begins(*names: str, then: set[str]) -> Callable[[list[str]], int]:
    """Make what says how many words of a command are the program and its verb; 0: it is another command."""

    def begins(texts: list[str]) -> int:
        if texts[0].rpartition("/")[2] not in names:
            return 0
        verb = next((place for place, one in enumerate(texts[1:], 1) if not one.startswith("-")), 0)
        return verb + 1 if verb and texts[verb] in then else 0

    return begins


def _pip_begins(texts: list[str]) -> int:
    words = list(texts)
    skipped = 0
    if _PYTHON.fullmatch(words[0]) and words[1:2] == ["-m"]:
        skipped = 2
    elif words[0].rpartition("/")[2] == "uv":
        skipped = 1
    rest = words[skipped:]
    if rest and (_PIP.fullmatch(rest[0]) or (skipped == 1 and rest[0] == "tool")):
        verb = next((place for place, one in enumerate(rest[1:], 1) if not one.startswith("-")), 0)
        return skipped + verb + 1 if verb and rest[verb] in {"install", "download", "wheel"} else 0
    return 0


_INSTALL = {"install", "reinstall"}
_KINDS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "pip": ("pip install", _pip_begins),
    "apt": ("apt-get install", _begins("apt-get", "apt", "aptitude", then=_INSTALL)),
    "npm": ("npm install", _begins("npm", "yarn", "pnpm", then={"install", "i", "add", "ci", "global"})),
    "cargo": ("cargo install", _begins("cargo", then={"install"})),
    "conda": ("conda install", _begins("conda", "mamba", "micromamba", then={"install", "create"})),
    "apk": ("apk add", _begins("apk", then={"add"})),
    "dnf": ("dnf install", _begins("dnf", "yum", "microdnf", "zypper", then=_INSTALL)),
    "brew": ("brew install", _begins("brew", then=_INSTALL)),
    "gem": ("gem install", _begins("gem", then=_INSTALL)),
    "go": ("go install", _begins("go", then={"install", "get"})),
}
