import random
from datetime import UTC, datetime
from typing import Any

import pytest
import specimen
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes import hashes
from recipes import lock as locks
from recipes.errors import LockError
from recipes.lock import Lock, LockedSource
from recipes.origins import GitOrigin, PypiOrigin, UrlOrigin
from recipes.spec import Source, Submodule

FILE = "locks/small.lock.yaml"
AGAIN = f"see what changed: `git log -p {FILE}`; lock again: `recipes lock`"
NEWER = "it was written by a newer tvm-recipes; install that, or lock again: `recipes lock`"


def test_a_lock_is_written_as_it_was_read() -> None:
    assert locks.render(specimen.lock()) == specimen.LOCK


def test_line_endings_of_another_system_make_no_difference() -> None:
    assert specimen.lock(specimen.LOCK.replace("\n", "\r\n")) == specimen.lock()


def test_the_order_of_sources_does_not_matter() -> None:
    lock = specimen.lock()
    turned = Lock(sources=dict(reversed(lock.sources.items())))
    assert locks.render(turned) == specimen.LOCK


def test_a_lock_without_sources_is_one() -> None:
    assert locks.parse(locks.render(Lock(sources={})).encode(), FILE) == Lock(sources={})


TEXT = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12)
PATH = st.lists(
    st.text(st.characters(exclude_categories=["C"], exclude_characters="/"), min_size=1, max_size=5).filter(
        lambda part: part not in (".", "..", "<<")
    ),
    min_size=1,
    max_size=3,
).map("/".join)
ID = st.binary(min_size=20, max_size=20).map(bytes.hex)
SHA256 = st.binary(min_size=32, max_size=32).map(bytes.hex)
URL = st.builds("https://example.org/{}".format, st.text("abcé%?=&~", max_size=9))
ORIGIN = (
    st.builds(GitOrigin, git=URL)
    | st.builds(PypiOrigin, pypi=TEXT, version=TEXT, file=TEXT, sha256=SHA256, path=st.none() | PATH)
    | st.builds(UrlOrigin, url=URL, sha256=SHA256, path=st.none() | PATH)
)
SOURCE = st.builds(
    LockedSource,
    ref=st.none() | TEXT,
    before=st.none() | st.datetimes(timezones=st.just(UTC)),
    resolved=st.none() | TEXT,
    commit=st.none() | ID,
    date=st.none() | st.datetimes().map(lambda date: f"{date:%Y-%m-%dT%H:%M:%SZ}".rjust(20, "0")),
    tree=st.none() | ID,
    include=st.lists(TEXT, max_size=2).map(tuple),
    exclude=st.lists(TEXT, max_size=2).map(tuple),
    strip=st.none() | PATH,
    modes=st.sampled_from(["git", "plain"]),
    hash=st.binary(min_size=32, max_size=32).map(hashes.sri),
    origins=st.lists(ORIGIN, min_size=1, max_size=3).map(tuple),
)


@st.composite
def _locks(draw: Any) -> Lock:
    found = draw(st.dictionaries(PATH, SOURCE, max_size=3))
    parents = {name.split("/")[0]: draw(SOURCE) for name in found}
    return Lock(sources={**found, **parents})


@settings(max_examples=40)
@given(_locks())
def test_every_lock_is_read_as_it_was_written(lock: Lock) -> None:
    assert locks.parse(locks.render(lock).encode(), FILE) == lock


def test_a_lock_cut_off_anywhere_is_refused_or_does_not_satisfy() -> None:
    asked, whole = list(specimen.specs().sources()), specimen.lock()
    text = specimen.LOCK.encode()
    missed = []
    for end in range(len(text)):
        try:
            found = locks.parse(text[:end], FILE)
        except LockError as error:
            assert FILE in error.message  # noqa: PT017 - both ends are allowed
            continue
        if found != whole and not locks.unsatisfied(found, asked):
            missed.append(end)
    assert missed == []


def test_flipped_bytes_never_end_in_a_traceback() -> None:
    chance = random.Random(7)
    for _ in range(200):
        text = bytearray(specimen.LOCK.encode())
        text[chance.randrange(len(text))] = chance.randrange(256)
        try:
            found = locks.parse(bytes(text), FILE)
        except LockError as error:
            assert FILE in error.message  # noqa: PT017 - both ends are allowed
        else:
            locks.render(found)


KINDS = "an origin is one of `git`, `pypi`, `debian`, `url`"
HASH = "a content hash is `sha256-` and 44 characters of base64"
OBJECT = "a git object id is 40 lower-case hexadecimal digits"
DATE = "a date is written as in ISO 8601, with its time zone"
GIT = "git: https://example.org/fp16"
SHA = f"      sha256: {'ab' * 32}\n      path: carrier-1.10/tvm\n"
COMMIT = "4987f20d48c22694d84bbffa839168596ea027ae"
EDITS = [
    ("tree: c9", "teer: c9", "9:5: sources.fp16.teer: unknown key `teer`, did you mean `tree`?"),
    (COMMIT, "master", f"7:5: sources.fp16.commit: {OBJECT}"),
    (COMMIT, COMMIT.upper(), f"7:5: sources.fp16.commit: {OBJECT}"),
    (specimen.sri("fp16"), "sha256-abc=", f"13:5: sources.fp16.hash: {HASH}"),
    (specimen.sri("fp16"), "sha1-" + specimen.sri("fp16")[7:], f"13:5: sources.fp16.hash: {HASH}"),
    (specimen.sri("fp16"), "", "13:5: sources.fp16.hash: expected text, got nothing"),
    (f"    hash: {specimen.sri('fp16')}\n", "", "4:3: sources.fp16: `hash` is missing"),
    ("'2024-05-27T20:38:41Z'", "2024-05-27T20:38:41", f"8:5: sources.fp16.date: {DATE}"),
    ("'2024-05-27T20:38:41Z'", "yesterday", f"8:5: sources.fp16.date: {DATE}"),
    (
        GIT,
        "gti: x",
        f"15:7: sources.fp16.origins[0]: {KINDS}, did you mean `git`?",
    ),
    (
        GIT,
        f"{GIT}x y",
        "15:7: sources.fp16.origins[0].git: a URL begins with https://, http://, ssh://, git:// or file://",
    ),
    (SHA, "", "25:7: sources.tvm.origins[1]: `sha256` is missing"),
    ("  tvm/3rdparty/dlpack:", "  tvm/../dlpack:", "30:3: sources.tvm/../dlpack: not the name of a source"),
    (
        "  tvm/3rdparty/dlpack:",
        "  tmv/3rdparty/dlpack:",
        "30:3: sources.tmv/3rdparty/dlpack: a submodule of what is not locked",
    ),
    ("  tvm:\n", "  fp16:\n", "16:3: sources.fp16: duplicate key `fp16`, first on line 4"),
    ("  tvm:\n", "<<<<<<< HEAD\n  tvm:\n", "16:1: a conflict of a merge is not resolved: `<<<<<<< HEAD`"),
    ("sources:", "sauces:", "3:1: sauces: unknown key `sauces`, did you mean `sources`?"),
]


@pytest.mark.parametrize(("old", "new", "message"), EDITS, ids=range(len(EDITS)))
def test_an_edit_by_hand_is_named_with_its_place(old: str, new: str, message: str) -> None:
    with pytest.raises(LockError) as caught:
        locks.parse(specimen.LOCK.replace(old, new, 1).encode(), FILE)
    assert (caught.value.message, caught.value.hint) == (f"{FILE}:{message}", AGAIN)


@pytest.mark.parametrize(
    ("line", "where", "actual", "hint"),
    [
        ("version: 2\n", "2:1", "version: 2", NEWER),
        ("version: 99999999999999999999\n", "2:1", "version: 99999999999999999999", NEWER),
        ("version: 0\n", "2:1", "version: 0", AGAIN),
        ("version: 1.0\n", "2:1", "version: 1.0", AGAIN),
        ("version:\n", "2:1", "no version", AGAIN),
        ("version: [1]\n", "2:1", "no version", AGAIN),
        ("", "2:1", "no version", AGAIN),
    ],
)
def test_another_version_is_told_from_a_damaged_lock(line: str, where: str, actual: str, hint: str) -> None:
    with pytest.raises(LockError) as caught:
        locks.parse(specimen.LOCK.replace("version: 1\n", line, 1).encode(), FILE)
    message = f"{FILE}:{where}: another format of lock\n  expected  version: 1\n  actual    {actual}"
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", " cut off: there is no newline at its end"),
        (b"\n", "1:1: expected a mapping, got nothing"),
        (b"- a\n", "1:1: expected a mapping, got a list"),
        (b"\xff\n", "1:1: not UTF-8: byte 0xff"),
    ],
)
def test_what_is_no_lock_at_all(text: bytes, message: str) -> None:
    with pytest.raises(LockError) as caught:
        locks.parse(text, FILE)
    assert caught.value.message == f"{FILE}:{message}"


def test_the_parts_of_a_component_by_where_they_are_put() -> None:
    lock = specimen.lock()
    assert list(lock.of("tvm")) == ["", "3rdparty/dlpack"]
    assert list(lock.of("fp16")) == [""]
    assert lock.of("tv") == {}


def test_a_component_is_not_mixed_up_with_one_whose_name_begins_the_same() -> None:
    one = specimen.lock().sources["fp16"]
    lock = Lock(sources={"tvm": one, "tvm-runtime": one, "tvm-runtime/a": one})
    assert list(lock.of("tvm")) == [""]
    assert list(lock.of("tvm-runtime")) == ["", "a"]


def test_the_epoch_is_the_newest_commits_date() -> None:
    lock = specimen.lock()
    assert lock.epoch("fp16") == 1716842321
    assert lock.epoch("tvm") == 1761006557
    assert Lock(sources={"a": lock.sources["fp16"].model_copy(update={"date": None})}).epoch("a") == 0


def asked(**changes: Any) -> list[Source]:
    fp16, tvm = specimen.specs().sources()
    return [fp16, Source(**{**vars(tvm), **changes})]


TVM = list(specimen.specs().sources())[1]
DLPACK = TVM.submodules["3rdparty/dlpack"]
LACKS = "submodule `tvm/3rdparty/dlpack` has an origin that its lock does not name"
OTHER = "source `tvm` has other origins than its lock"
MAY = "2024-05-27T20:40:00Z"
DATE_OF_MAY = datetime.fromisoformat(MAY)
PART = "takes another part of its tree than its lock (include, exclude, strip, modes)"
ASKED = [
    ({}, []),
    ({"ref": "v0.23.0"}, ["source `tvm` asks for ref `v0.23.0`, the lock answers `v0.22.0`"]),
    ({"taken": TVM.taken.model_copy(update={"exclude": ("a",)})}, [f"source `tvm` {PART}"]),
    ({"taken": TVM.taken.model_copy(update={"modes": "plain"})}, [f"source `tvm` {PART}"]),
    ({"taken": TVM.taken.model_copy(update={"strip": "a"})}, [f"source `tvm` {PART}"]),
    ({"origins": TVM.origins[:1]}, [OTHER]),
    ({"before": DATE_OF_MAY}, [f"source `tvm` asks for before {MAY}, the lock answers no date"]),
    ({"origins": TVM.origins[::-1]}, [OTHER]),
    (
        {"origins": (TVM.origins[0], TVM.origins[1].model_copy(update={"sha256": "cd" * 32}))},
        [OTHER, LACKS],
    ),
    ({"origins": (TVM.origins[0], TVM.origins[1].model_copy(update={"sha256": "ab" * 32}))}, []),
    ({"submodules": {}}, ["submodule `tvm/3rdparty/dlpack` is locked, and no spec asks for it"]),
    (
        {"submodules": {"3rdparty/dlpack": DLPACK, "3rdparty/rang": Submodule()}},
        ["submodule `tvm/3rdparty/rang` is not locked"],
    ),
    ({"submodules": {"3rdparty/dlpack": Submodule()}}, [f"source `tvm/3rdparty/dlpack` {PART}"]),
    (
        {
            "submodules": {
                "3rdparty/dlpack": DLPACK.model_copy(update={"also": (GitOrigin(git="https://b"),)})
            }
        },
        [LACKS],
    ),
    (
        {
            "submodules": {
                "3rdparty/dlpack": DLPACK.model_copy(
                    update={"also": (GitOrigin(git="https://example.org/dlpack"),)}
                )
            }
        },
        [],
    ),
    (
        {"ref": "main", "submodules": {}, "origins": ()},
        [
            "source `tvm` asks for ref `main`, the lock answers `v0.22.0`",
            OTHER,
            "submodule `tvm/3rdparty/dlpack` is locked, and no spec asks for it",
        ],
    ),
]


@pytest.mark.parametrize(("changes", "sentences"), ASKED)
def test_a_lock_says_in_sentences_what_it_does_not_answer(changes: Any, sentences: list[str]) -> None:
    assert locks.unsatisfied(specimen.lock(), asked(**changes)) == sentences


def test_a_source_that_is_not_locked_and_one_that_is_not_asked_for() -> None:
    fp16, tvm = asked()
    assert locks.unsatisfied(specimen.lock(), [fp16]) == [
        "source `tvm` is locked, and no spec asks for it",
        "source `tvm/3rdparty/dlpack` is locked, and no spec asks for it",
    ]
    assert locks.unsatisfied(Lock(sources={}), [tvm]) == ["source `tvm` is not locked"]


def test_a_commit_that_was_edited_by_hand_is_not_the_one_asked_for() -> None:
    commit, other = "9dbf3f22ff6f44962472f9af310fda368ca85ef2", "1" * 40
    text = specimen.LOCK.replace("ref: v0.22.0", f"ref: {commit}")
    assert locks.unsatisfied(specimen.lock(text), asked(ref=commit)) == []
    edited = specimen.lock(text.replace(f"commit: {commit}", f"commit: '{other}'"))
    assert locks.unsatisfied(edited, asked(ref=commit)) == [
        f"source `tvm` asks for commit {commit}, the lock answers {other}"
    ]
