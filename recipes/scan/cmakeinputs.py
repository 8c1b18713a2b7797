"""What CMake files download: ExternalProject, FetchContent, CPM, `file(DOWNLOAD)`, and commands they run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from recipes.scan import scripts
from recipes.scan.cmakefile import Call
from recipes.scan.findings import Found, Unread, Verdict, Word, is_remote, of_ref, of_url, unresolved
from recipes.scan.shell import Command
from recipes.scan.variables import Variables

_KEY = re.compile(r"[A-Z][A-Z0-9_]+")
_HASH = re.compile(r"(?:SHA\d+|SHA3_\d+|MD5)=[0-9a-fA-F]{32,}")
_CPM_SHORT = re.compile(r"(?:(?P<host>\w+):)?(?P<path>[^@#]+?)(?:@(?P<version>[^#]+))?(?:#(?P<tag>.+))?")
_HOSTS = {"gh": "https://github.com/", "gl": "https://gitlab.com/", "bb": "https://bitbucket.org/"}
_REPOSITORIES = {"GITHUB_REPOSITORY": "gh", "GITLAB_REPOSITORY": "gl", "BITBUCKET_REPOSITORY": "bb"}
_OTHERS = ("SVN_REPOSITORY", "HG_REPOSITORY", "CVS_REPOSITORY")
_SOURCES = ("GIT_REPOSITORY", "URL", *_OTHERS)
_DECLARING = {
    "externalproject_add": "ExternalProject_Add",
    "fetchcontent_declare": "FetchContent_Declare",
    "fetchcontent_populate": "FetchContent_Populate",
}
_CPM = {"cpmaddpackage": "CPMAddPackage", "cpmfindpackage": "CPMFindPackage"}
_CPM |= {"cpmdeclarepackage": "CPMDeclarePackage"}
_RUNNING = {"execute_process", "add_custom_command", "add_custom_target"}
_INCLUDING = {"configure_file", "include", "add_subdirectory"}
_NO_TAG = "no `GIT_TAG`, which means the branch `master`"

Keys = Mapping[str, Sequence[Word]]


def read(calls: Sequence[Call]) -> Iterator[Found | Unread]:
    """Give what the CMake files of one tree download, `calls` being the commands of all of them."""
    variables = Variables(calls)
    guards = _guarded_files(calls, variables)
    for call in calls:
        for found in _inputs(call, variables):
            if isinstance(found, Found):
                inherited = guards.get(call.file, ())
                yield replace(found, guard=_best((*inherited, *call.guards)))
            else:
                yield found


def _inputs(call: Call, variables: Variables) -> Iterator[Found | Unread]:
    if call.name in _DECLARING:
        yield from _declared(call, variables.words(call), _DECLARING[call.name])
    elif call.name in _CPM:
        yield from _cpm(call, variables.words(call))
    elif call.name == "file":
        yield from _downloaded(call, variables.words(call))
    elif call.name in _RUNNING:
        commands = [Command(call.line, one) for one in _commands(variables.words(call))]
        yield from scripts.inputs(commands, call.file, call.name)


def _commands(words: Sequence[Word]) -> Iterator[tuple[Word, ...]]:
    """Give the argument lists behind each `COMMAND`, up to the next keyword."""
    current: list[Word] | None = None
    for word in words:
        if word.text in {"COMMAND", "DOWNLOAD_COMMAND"}:
            if current:
                yield tuple(current)
            current = []
        elif current is not None and _KEY.fullmatch(word.text) and "_" in word.text:
            if current:
                yield tuple(current)
            current = None
        elif current is not None:
            current.append(word)
    if current:
        yield tuple(current)


def _keys(words: Sequence[Word]) -> dict[str, list[Word]]:
    """Sort arguments by the keyword that they follow."""
    found: dict[str, list[Word]] = {}
    current: list[Word] = []
    for word in words:
        if _KEY.fullmatch(word.text) and not word.unknown and (word.text in _KEYWORDS or "_" in word.text):
            current = found.setdefault(word.text, [])
        else:
            current.append(word)
    return found


def _declared(call: Call, words: Sequence[Word], kind: str) -> Iterator[Found]:
    name, keys = words[0].text if words else "", _keys(words[1:])
    if any(keys.get(one) for one in _SOURCES):
        yield replace(_source(call, kind, keys, _NO_TAG), name=name)
    elif commands := keys.get("DOWNLOAD_COMMAND"):
        rest = [Command(call.line, one) for one in _commands([Word("COMMAND"), *commands])]
        yield from (replace(one, name=name) for one in scripts.inputs(rest, call.file, call.name))
    elif not keys.get("SOURCE_DIR"):
        opaque = next((one for one in words[1:] if one.unknown and one.text.startswith(("${", "@"))), None)
        if opaque:
            yield Found(call.file, call.line, kind, opaque.text, unresolved(opaque), name=name)


def _source(call: Call, kind: str, keys: Keys, absent: str) -> Found:
    if git := keys.get("GIT_REPOSITORY"):
        ref = next(iter(keys.get("GIT_TAG", ())), None)
        return _git(call, kind, git[0], ref, absent)
    if urls := keys.get("URL"):
        return _url(call, kind, urls[0], keys)
    what = next(keys[one][0] for one in _OTHERS if keys.get(one))
    revision = next((keys[one] for one in ("SVN_REVISION", "HG_TAG", "CVS_TAG") if keys.get(one)), None)
    verdict = (
        Verdict("movable", "a revision, and no hash") if revision else Verdict("floating", "no revision")
    )
    return Found(call.file, call.line, kind, what.text, verdict)


def _git(call: Call, kind: str, url: Word, ref: Word | None, absent: str) -> Found:
    verdict = of_ref(ref, absent)
    if url.unknown and verdict.severity != "pinned":
        verdict = unresolved(url)
    asked = "master" if ref is None and absent == _NO_TAG else ref.text if ref else None
    shown = url.text if is_remote(url.text) and not url.unknown else None
    return Found(call.file, call.line, kind, url.text, verdict, url=shown, ref=asked)


def _url(call: Call, kind: str, url: Word, keys: Keys) -> Found:
    if not url.unknown and not is_remote(url.text):
        return Found(call.file, call.line, kind, url.text, Verdict("pinned", "a file on this machine"))
    hashes = [*keys.get("URL_HASH", ()), *keys.get("EXPECTED_HASH", ())]
    md5 = [*keys.get("URL_MD5", ()), *keys.get("EXPECTED_MD5", ())]
    given = next(iter(hashes or md5), None)
    if given is not None and given.unknown:
        return Found(call.file, call.line, kind, url.text, unresolved(given))
    checked = "by its hash" if hashes and _HASH.fullmatch(hashes[0].text) else "by MD5" if md5 else None
    return Found(call.file, call.line, kind, url.text, of_url(url, checked))


def _downloaded(call: Call, words: Sequence[Word]) -> Iterator[Found]:
    if len(words) > 1 and words[0].text == "DOWNLOAD":
        found = _url(call, "file(DOWNLOAD)", words[1], _keys(words[2:]))
        yield found


def _cpm(call: Call, words: Sequence[Word]) -> Iterator[Found]:
    kind = _CPM[call.name]
    if len(words) == 1:
        yield from _cpm_short(call, kind, words[0])
        return
    keys: dict[str, list[Word]] = _keys(words)
    uri = keys.get("URI")
    if uri:
        yield from _cpm_short(call, kind, uri[0])
        return
    for key, host in _REPOSITORIES.items():
        for path in keys.get(key, ()):
            keys["GIT_REPOSITORY"] = [Word(f"{_HOSTS[host]}{path.text}.git", path.unknown, path.candidates)]
    if "GIT_TAG" not in keys and keys.get("VERSION"):
        version = keys["VERSION"][0]
        keys["GIT_TAG"] = [Word(f"v{version.text}", version.unknown, version.candidates)]
    if any(keys.get(one) for one in _SOURCES):
        name = keys["NAME"][0].text if keys.get("NAME") else None
        yield replace(_source(call, kind, keys, "no version and no tag"), name=name)


def _cpm_short(call: Call, kind: str, word: Word) -> Iterator[Found]:
    """Read `gh:OWNER/NAME@VERSION#TAG` and the URL of an archive, as CPM.cmake's README has them."""
    if word.unknown and not word.text.startswith(tuple(f"{host}:" for host in _HOSTS)):
        yield Found(call.file, call.line, kind, word.text, unresolved(word))
        return
    if is_remote(word.text) and not re.search(r"\.git(?=[@#]|$)", word.text):
        address, _, digest = word.text.partition("#")
        keys = {"URL_HASH": [Word(digest)]} if digest else {}
        yield _url(call, kind, Word(address.partition("@")[0], word.unknown), keys)
        return
    yield from _cpm_git(call, kind, word)


def _cpm_git(call: Call, kind: str, word: Word) -> Iterator[Found]:
    found = _CPM_SHORT.fullmatch(word.text)
    if found is None:
        return
    host, path = found["host"], found["path"]
    url = f"{_HOSTS[host]}{path}.git" if host in _HOSTS else f"{host}:{path}" if host else path
    ref = found["tag"] or (f"v{found['version']}" if found["version"] else None)
    name = path.rpartition("/")[2].removesuffix(".git")
    asked = Word(ref, "${" in ref) if ref else None
    yield replace(_git(call, kind, Word(url, "${" in url), asked, "no version and no tag"), name=name)


def _guarded_files(calls: Sequence[Call], variables: Variables) -> dict[str, tuple[str, ...]]:
    """Give the guards of files that are included, or configured into a project of their own, by others.

    One that is also taken without a guard has none.
    """
    files = {call.file for call in calls}
    found: dict[str, tuple[str, ...]] = {}
    for call in calls:
        if call.name in _INCLUDING and call.arguments:
            for file in _taken(variables.fill(call.arguments[0], call).text, call, files):
                guards = found.get(file, call.guards)
                found[file] = tuple(one for one in guards if one in call.guards)
    return found


def _taken(path: str, call: Call, files: Iterable[str]) -> Iterator[str]:
    tail = re.sub(r"^(?:\$\{[^}]*\}/?)+", "", path).strip("/")
    if not tail or "${" in tail:
        return
    if call.name == "add_subdirectory":
        tail += "/CMakeLists.txt"
    elif call.name == "include" and "." not in tail.rpartition("/")[2]:
        tail += ".cmake"
    is_it: Callable[[str], bool] = lambda file: file == tail or file.endswith(f"/{tail}")  # noqa: E731
    yield from (file for file in files if is_it(file) and file != call.file)


def _best(guards: Sequence[str]) -> str | None:
    """Choose the innermost guard that is named like a place, else the innermost."""
    places = [one for one in guards if re.search(r"_(?:SOURCE|ROOT|DIR|PATH|SRC)", one)]
    return next(reversed(places or guards), None)


_KEYWORDS = {"URL", "NAME", "VERSION", "TIMEOUT", "PATCH", "PREFIX", "DEPENDS", "OPTIONS", "SYSTEM", "URI"}
_KEYWORDS |= {"LOG", "STATUS", "PROGRESS"}
