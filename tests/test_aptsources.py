from __future__ import annotations

import itertools

import pytest

from recipes import aptsources
from recipes.aptsources import Entry, Listed

KEY = ("signed-by", "/usr/share/keyrings/debian-archive-keyring.gpg")
ARCHIVE = "http://deb.example/debian"

PLACES = [
    ("a.list", f"deb {ARCHIVE} stable main", [Entry(ARCHIVE, "stable")]),
    ("a.list", f"  deb-src\t{ARCHIVE}  stable  contrib main # x", [Entry(ARCHIVE, "stable")]),
    (
        "a.list",
        f"deb [ arch=amd64 signed-by={KEY[1]} ] {ARCHIVE} stable main",
        [Entry(ARCHIVE, "stable", (KEY,))],
    ),
    ("a.list", f"deb [signed-by={KEY[1]}]{ARCHIVE} stable main", [Entry(ARCHIVE, "stable", (KEY,))]),
    ("a.list", f"deb [trusted=yes allow-insecure=yes] {ARCHIVE} stable main", [Entry(ARCHIVE, "stable")]),
    ("a.list", f"# deb {ARCHIVE} stable main", []),
    ("a.list", f"deb {ARCHIVE} stable contrib # main", []),
    ("a.list", f"deb {ARCHIVE} ./", []),
    ("a.list", f"rpm {ARCHIVE} stable main", []),
    ("a.list", "deb cdrom:[Debian]/ stable main", []),
    ("a.list", f"deb {ARCHIVE} stable main\ndeb-src {ARCHIVE} stable main", [Entry(ARCHIVE, "stable")]),
    (
        "a.sources",
        (
            f"# the archive\nTypes: deb\nURIs: {ARCHIVE} http://b\nSuites: stable\n stable-updates\n"
            f"Components: main contrib\nTrusted: yes\nSigned-By: {KEY[1]}\n"
        ),
        [
            Entry(uri, suite, (KEY,))
            for uri in (ARCHIVE, "http://b")
            for suite in ("stable", "stable-updates")
        ],
    ),
    ("a.sources", f"uris: {ARCHIVE}\nSUITES: stable\ncomponents: main\n", [Entry(ARCHIVE, "stable")]),
    ("a.sources", f"URIs: {ARCHIVE}\nSuites: stable\nComponents: main\nEnabled: No\n", []),
    ("a.sources", f"URIs: {ARCHIVE}\nSuites: ./\n", []),
    ("a.sources", "\n\nnothing\n \n", []),
    ("a.sources", "", []),
]


@pytest.mark.parametrize(("name", "text", "places"), PLACES)
def test_where_source_packages_are(name: str, text: str, places: list[Entry]) -> None:
    assert aptsources.entries({name: text}, None) == places


def test_a_suite_stands_in_for_those_that_are_named() -> None:
    files = {
        "b.list": f"deb {ARCHIVE} stable main\n",
        "a.sources": f"URIs: {ARCHIVE}\nSuites: stable updates\nComponents: main\n",
    }
    assert aptsources.entries(files, "next") == [Entry(ARCHIVE, "next")]


def test_places_as_apt_reads_them() -> None:
    key = (
        "signed-by",
        "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n AAAA\n -----END PGP PUBLIC KEY BLOCK-----",
    )
    text = aptsources.render([Entry(ARCHIVE, "stable", (key,)), Entry("http://b", "next")])
    assert text == (
        f"Types: deb-src\nURIs: {ARCHIVE}\nSuites: stable\nComponents: main\nTargets: Sources\n"
        f"signed-by: {key[1]}\n"
        "\nTypes: deb-src\nURIs: http://b\nSuites: next\nComponents: main\nTargets: Sources\n"
    )
    assert aptsources.entries({"x.sources": text}, None) == [
        Entry(ARCHIVE, "stable", (key,)),
        Entry("http://b", "next"),
    ]


# deb-version(7): `~` before the end, the end before letters, letters before the rest, numbers by value
RISING = [
    *("0~git1-1", "0.0~git20200514.4dfe081-3", "0.0~git20200514.4dfe081-5", "0.0~git20200514.4dfe081-5.1"),
    *(
        "0.0~git20200514.4dfe081-10",
        "0.0-1",
        "0.9",
        "1.0~rc1-1",
        "1.0~rc1-2",
        "1.0-1~bpo1",
        "1.0-1",
        "1.0-1a",
    ),
    *("1.0-1+deb12u1", "1.0-2", "1.0a-1", "1.0+dfsg-1", "1.0.1-1", "1.10-1", "1.10-1-1", "1:0.1-1"),
]


def test_versions_in_dpkgs_order() -> None:
    for low, high in itertools.combinations(RISING, 2):
        assert aptsources.order(low) < aptsources.order(high), (low, high)
    assert aptsources.order("1.00-0") == aptsources.order("1.0") == aptsources.order("0:1.0-0")


SHA = "ab" * 32
SHOWN = f"""\
Package: fp16
Version: 1.0-1
Checksums-Sha256:
 {"cd" * 32} 99 fp16_1.0.orig-extra.tar.xz
 {SHA} 44692 fp16_1.0.orig.tar.xz
 {"ef" * 32} 99 fp16_1.0.orig.tar.xz.asc
 {"ef" * 32} 99 fp16_1.0-1.debian.tar.xz
Directory: pool/main/f/fp16

Package: fp16
Version: 1.0-10
Checksums-Sha256:
 {SHA} 44692 fp16_1.0-10.tar.xz

Package: other
Version: 2

Package: fp16
Version: 1.0-1
Checksums-Sha256:
 {SHA} 44692 fp16_1.0.orig.tar.xz
"""


def test_the_versions_of_a_package_newest_first() -> None:
    one = Listed("1.0-1", "fp16_1.0.orig.tar.xz", SHA)
    assert aptsources.listed(SHOWN, "fp16") == [Listed("1.0-10"), one]
    assert aptsources.listed("", "fp16") == []


COMPLAINTS = [
    (b"", []),
    (b"N: a note\nW: one\nW: two\nW: one\n", ["one", "two"]),
    (b"W: one\nE: bad\n   of it\nE: Some index files failed to download.\n", ["bad"]),
    (
        b"E: is not signed\nW: It is not updated. GPG error: BADSIG\nW: x\n",
        ["GPG error: BADSIG", "is not signed"],
    ),
    (b"E: \xff\n", ["\ufffd"]),
]


@pytest.mark.parametrize(("err", "said"), COMPLAINTS)
def test_what_apt_complains_of(err: bytes, said: list[str]) -> None:
    assert aptsources.complaints(err) == said
