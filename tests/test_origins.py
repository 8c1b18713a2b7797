import pydantic
import pytest

from recipes import located, origins
from recipes.errors import SpecError
from recipes.located import Strict
from recipes.origins import GitOrigin, Origin, PypiOrigin, UrlOrigin

SHA = "ab" * 32
GIT = GitOrigin(git="https://example.org/fp16")
PYPI = PypiOrigin(
    pypi="carrier", version="1.10", file="carrier-1.10.tar.gz", sha256=SHA, path="carrier-1.10/tvm"
)
URL = UrlOrigin(url="https://example.org/a/v1.tar.gz", sha256=SHA)


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


def test_a_submodule_lies_below_its_parents_place_in_an_archive() -> None:
    assert origins.below(PYPI, "3rdparty/x") == PYPI.model_copy(
        update={"path": "carrier-1.10/tvm/3rdparty/x"}
    )
    assert origins.below(URL, "3rdparty/x") == URL.model_copy(update={"path": "3rdparty/x"})
