import pydantic
import pytest

from recipes import located, origins
from recipes.errors import SpecError
from recipes.located import Strict
from recipes.origins import DebianOrigin, GitOrigin, Origin, PypiOrigin, UrlOrigin

SHA = "ab" * 32
GIT = GitOrigin(git="https://example.org/fp16")
PYPI = PypiOrigin(
    pypi="carrier", version="1.10", file="carrier-1.10.tar.gz", sha256=SHA, path="carrier-1.10/tvm"
)
URL = UrlOrigin(url="https://example.org/a/v1.tar.gz", sha256=SHA)


FULL = DebianOrigin(
    debian="fp16", suite="trixie", version="0.0~git1-3", file="fp16_0.0~git1.orig.tar.xz", sha256=SHA
)


class Holder(Strict):
    also: tuple[Origin, ...]


def check(text: str) -> tuple[Origin, ...]:
    return located.check(
        located.read(f"also: [{text}]".encode(), "f.yaml", SpecError), Holder, SpecError
    ).also


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("{git: https://example.org/fp16}", GIT),
        (
            f"{{path: {PYPI.path}, file: {PYPI.file}, version: 1.10, pypi: carrier, sha256: {SHA}}}",
            PYPI,
        ),
        (f"{{url: https://example.org/a/v1.tar.gz, sha256: {SHA}}}", URL),
        ("{debian: fp16}", DebianOrigin(debian="fp16")),
        (f"{{debian: fp16, suite: trixie, version: {FULL.version}, file: {FULL.file}, sha256: {SHA}}}", FULL),
        ("{git: ssh://git@example.org/fp16}", GitOrigin(git="ssh://git@example.org/fp16")),
        ("{git: git://example.org/fp16}", GitOrigin(git="git://example.org/fp16")),
        ("{git: file:///tmp/fp16}", GitOrigin(git="file:///tmp/fp16")),
    ],
)
def test_the_kind_of_an_origin_is_its_key(text: str, origin: Origin) -> None:
    assert check(text) == (origin,)


SCHEMES = "a URL begins with https://, http://, ssh://, git:// or file://"
KEPT_OUT = "a URL with credentials is never kept in a file; use git's or netrc's own store"
HEXADECIMAL = "a SHA-256 is 64 lower-case hexadecimal digits"
RELATIVE = "a path is relative, without `.`, `..` or a trailing `/`"
PACKAGE = "a Debian package's name has lower-case letters, digits, `+`, `-` and `.` only"
SUITE = "a suite of Debian's archive is written as in `trixie` or `bookworm-updates`"
VERSION = "a Debian version is written as in `0.0~git20200514.4dfe081-3`"
ORIG = "Debian's upstream tarballs are named as in `PACKAGE_VERSION.orig.tar.xz`"
KINDS = "an origin is one of `git`, `pypi`, `debian`, `url`"
WRONG = [
    ("{gti: https://a}", f"f.yaml:1:8: also[0]: {KINDS}, did you mean `git`?"),
    ("{sha256: a, ulr: https://a}", f"f.yaml:1:8: also[0]: {KINDS}, did you mean `url`?"),
    ("{conda: fp16}", f"f.yaml:1:8: also[0]: {KINDS}"),
    ("git", f"f.yaml:1:8: also[0]: {KINDS}, did you mean `git`?"),
    ("[git]", f"f.yaml:1:8: also[0]: {KINDS}"),
    ("{}", f"f.yaml:1:8: also[0]: {KINDS}"),
    ("null", f"f.yaml:1:8: also[0]: {KINDS}"),
    ("{git: https://a, branch: x}", "f.yaml:1:25: also[0].branch: unknown key `branch`"),
    ("{git: https://a, url: https://a}", "f.yaml:1:25: also[0].url: unknown key `url`"),
    ("{git: }", "f.yaml:1:9: also[0].git: expected text, got nothing"),
    ("{git: [x]}", "f.yaml:1:9: also[0].git: expected text, got a list"),
    ("{git: {git: x}}", "f.yaml:1:9: also[0].git: expected text, got a mapping"),
    ("{git: 'git@example.org:fp16'}", f"f.yaml:1:9: also[0].git: {SCHEMES}"),
    ("{git: ../fp16}", f"f.yaml:1:9: also[0].git: {SCHEMES}"),
    ("{git: 'ext::sh -c x'}", f"f.yaml:1:9: also[0].git: {SCHEMES}"),
    ("{git: --upload-pack=x}", f"f.yaml:1:9: also[0].git: {SCHEMES}"),
    ("{git: 'https://a b'}", f"f.yaml:1:9: also[0].git: {SCHEMES}"),
    ("{git: 'https://me:secret@example.org/x'}", f"f.yaml:1:9: also[0].git: {KEPT_OUT}"),
    ("{git: 'https://token@example.org/x'}", f"f.yaml:1:9: also[0].git: {KEPT_OUT}"),
    (f"{{url: 'http://a:b@c/x', sha256: {SHA}}}", f"f.yaml:1:9: also[0].url: {KEPT_OUT}"),
    ("{url: https://a}", "f.yaml:1:8: also[0]: `sha256` is missing"),
    (f"{{url: https://a, sha256: {SHA.upper()}}}", f"f.yaml:1:25: also[0].sha256: {HEXADECIMAL}"),
    (f"{{url: https://a, sha256: {SHA[1:]}}}", f"f.yaml:1:25: also[0].sha256: {HEXADECIMAL}"),
    (f"{{url: https://a, sha256: {SHA}, path: /a}}", f"f.yaml:1:99: also[0].path: {RELATIVE}"),
    ("{pypi: a, version: 1}", "f.yaml:1:8: also[0]: `file` is missing"),
    ("{pypi: a, version: 1, file: a.zip, path: a/../b}", f"f.yaml:1:43: also[0].path: {RELATIVE}"),
    ("{debian: Fp16}", f"f.yaml:1:9: also[0].debian: {PACKAGE}"),
    ("{debian: a b}", f"f.yaml:1:9: also[0].debian: {PACKAGE}"),
    ("{debian: fp16, suite: Trixie}", f"f.yaml:1:23: also[0].suite: {SUITE}"),
    ("{debian: fp16, version: x}", f"f.yaml:1:23: also[0].version: {VERSION}"),
    ("{debian: fp16, file: ../a}", f"f.yaml:1:23: also[0].file: {ORIG}"),
    ("{debian: fp16, file: a_1.orig.tar.gz.asc}", f"f.yaml:1:23: also[0].file: {ORIG}"),
    (
        "{git: https://a}, {url: x, sha256: y}",
        f"f.yaml:1:27: also[1].url: {SCHEMES}\nf.yaml:1:35: also[1].sha256: {HEXADECIMAL}",
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_origin_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        check(text)
    assert caught.value.message == message


@pytest.mark.parametrize("path", ["a", "a/b", "a b", ".a", "a..", "é"])
def test_a_path_stays_inside(path: str) -> None:
    assert UrlOrigin(url="https://a", sha256=SHA, path=path).path == path


@pytest.mark.parametrize("path", ["", "/", "/a", "a/", "a//b", ".", "..", "a/.", "../a"])
def test_a_path_that_could_lead_outside_is_refused(path: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="a path is relative"):
        UrlOrigin(url="https://a", sha256=SHA, path=path)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (GIT, "git"),
        (PYPI, "pypi"),
        (URL, "url"),
        ({"url": 1}, "url"),
        ({}, None),
        ("git", None),
        (None, None),
    ],
)
def test_the_kind_of_an_origin_and_of_a_mapping(given: object, kind: str | None) -> None:
    assert origins.kind(given) == kind


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (GIT, "https://example.org/fp16"),
        (PYPI, "carrier-1.10.tar.gz of the package index"),
        (URL, "https://example.org/a/v1.tar.gz"),
        (FULL, "fp16_0.0~git1.orig.tar.xz of Debian's archive"),
        (DebianOrigin(debian="fp16"), "the source package `fp16` of Debian's archive"),
    ],
)
def test_how_an_origin_is_named_in_a_message(origin: Origin, text: str) -> None:
    assert origin.describe() == text


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("https://a/b/v1.tar.gz", "v1.tar.gz"),
        ("https://a/v1.zip?token=a/b", "v1.zip"),
        ("https://a/v1.zip/", "v1.zip"),
    ],
)
def test_the_file_of_a_url(url: str, file: str) -> None:
    assert UrlOrigin(url=url, sha256=SHA).file == file


@pytest.mark.parametrize(
    ("locked", "asked", "answer"),
    [
        (GIT, GIT, True),
        (GIT, GitOrigin(git="https://example.org/other"), False),
        (GIT, URL, False),
        (PYPI, PYPI, True),
        (PYPI, PYPI.model_copy(update={"sha256": None}), True),
        (PYPI, PYPI.model_copy(update={"path": None}), False),
        (PYPI.model_copy(update={"sha256": None}), PYPI, False),
        (FULL, DebianOrigin(debian="fp16", suite="trixie"), True),
        (FULL, DebianOrigin(debian="fp16"), False),
        (FULL, DebianOrigin(debian="fp16", suite="trixie", version="2-1"), False),
        (URL, URL.model_copy(update={"sha256": "0" * 64}), False),
    ],
)
def test_a_locked_origin_answers_what_leaves_out_what_locking_finds(
    locked: Origin, asked: Origin, answer: bool
) -> None:
    assert origins.answers(locked, asked) == answer


@pytest.mark.parametrize(
    ("origin", "key"),
    [
        (GIT, None),
        (URL, None),
        (PYPI, None),
        (PYPI.model_copy(update={"sha256": None}), "sha256"),
        (FULL, None),
        (DebianOrigin(debian="fp16"), "version"),
    ],
)
def test_what_an_origin_of_a_lock_must_say(origin: Origin, key: str | None) -> None:
    assert origins.missing(origin) == key


def test_the_name_of_an_archives_file() -> None:
    assert [origins.file_name(one) for one in (PYPI, URL, FULL)] == [
        "carrier-1.10.tar.gz",
        "v1.tar.gz",
        "fp16_0.0~git1.orig.tar.xz",
    ]
    with pytest.raises(ValueError, match="the source package `fp16` of Debian's archive is not locked"):
        origins.file_name(DebianOrigin(debian="fp16"))


def test_a_submodule_lies_below_its_parents_place_in_an_archive() -> None:
    assert origins.below(PYPI, "3rdparty/x") == PYPI.model_copy(
        update={"path": "carrier-1.10/tvm/3rdparty/x"}
    )
    assert origins.below(URL, "3rdparty/x") == URL.model_copy(update={"path": "3rdparty/x"})
