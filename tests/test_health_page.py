from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from recipes.health.chart import Dot, chart
from recipes.health.markup import Markup, joined, prose, table, tag, text
from recipes.health.page import dots, html

VOID = {"meta"}
HOSTILE = "</style></title><script>alert(1)</script>\" onload='x' &amp; \x1b[31m \u202e \ud800 `code` \n\0"


class Page(HTMLParser):
    """Reads a page as strictly as it can: every element ends, and in order; every id is there once."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert not self.open
        assert self.rawdata == ""
        ids = [found["id"] for _, found in self.elements if "id" in found]
        assert len(ids) == len({*ids})
        self.check_links({*ids})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs))
        assert not any(name.startswith("on") for name, _ in attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open  # elsewhere the slash means nothing
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append((self.open[-1] if self.open else "", data))

    def check_links(self, ids: set[str | None]) -> None:
        for name, found in self.elements:
            assert name not in ("script", "img", "link", "iframe", "object", "form", "base")
            assert "src" not in found
            href = found.get("href")
            if href is not None:
                assert name == "a"
                assert href.startswith("https://") or href.removeprefix("#") in ids

    @property
    def text(self) -> str:
        return " ".join(" ".join(data for at, data in self.said if at not in ("style", "title")).split())

    def count(self, name: str, **attributes: str) -> int:
        return sum(
            one == name and all(found.get(key.rstrip("_")) == value for key, value in attributes.items())
            for one, found in self.elements
        )


def source(name: str = "fp16", grade: str = "A", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "repository": f"https://git.example/{name}",
        "licence": "MIT",
        "asked": {"kind": "branch", "ref": "master", "before": None},
        "locked": {"commit": "4dfe081" + 33 * "0", "date": "2020-05-14T01:02:03Z", "since": "2026-11-24"},
        "upstream": {
            "branch": "master",
            "commit": "782eea1" + 33 * "0",
            "date": "2026-10-02T00:00:00Z",
            "behind": 33,
            "on_branch": True,
        },
        "origins": [
            {"origin": "https://git.example/fp16", "kind": "git", "answers": True, "why": None},
            {"origin": "fp16_0.0", "kind": "debian", "answers": False, "why": "status 404"},
        ],
        "ahead": [],
        "head": {"status": "not tried", "reason": None},
        "grade": grade,
        "reasons": [],
        "advice": [],
        "trend": [],
        **more,
    }


def package(name: str = "cmake", grade: str = "A", **more: Any) -> dict[str, Any]:
    return {
        "kind": "toolchain", "name": name, "version": "3.31.10", "released": "2025-11-20",
        "newest": "3.31.10", "newer": 0, "yanked": False, "listing": "listed", "unknown": None,
        "grade": grade, "reasons": [], "advice": [], **more,
    }  # fmt: skip


def document(*sources: Mapping[str, Any], packages: Any = (), grade: str = "A") -> dict[str, Any]:
    found = {"variant": "nnpack", "grade": grade, "sources": [*sources], "packages": [*packages]}
    return {"date": "2026-11-25", "variants": [found]}


def reason(said: str, advice: str = "do so") -> dict[str, Any]:
    return {"reasons": [{"rule": "r", "text": said}], "advice": [advice]}


def shown(values: Mapping[str, Any], **more: Any) -> Page:
    return Page(html(values, **more))


# the page


def test_a_page_of_one_variant() -> None:
    bad = source(
        "fp16", "D", **reason("`fp16-avx` lies ahead", "`recipes refresh --hold-back`"),
        ahead=[{"breakage": "fp16-avx", "commit": "07ff4fd" + 33 * "0", "date": None}],
        head={"status": "fails", "reason": "no module `fp16.avx`"},
    )  # fmt: skip
    page = shown(document(source("six"), bad, packages=[package()], grade="D"))
    for expected in (
        "As it was on 2026-11-25.",
        "nnpack D The grade is that of the worst input: fp16.",
        "D fp16 fp16-avx lies ahead",
        "recipes refresh --hold-back (fp16)",
        "fp16 MIT D branch master floats 4dfe08100000 of 2020-05-14 locked 1 day ago 782eea100000 of 2026-",
        "33 commits 1 of 2 answers git https://git.example/fp16, answers",
        "debian fp16_0.0, does not answer: status 404",
        "known breakage fp16-avx at 07ff4fd00000 head fails: no module fp16.avx",
        "1 package with nothing to say",
    ):
        assert expected in re.sub(r" +", " ", page.text)
    assert page.text.index("fp16 MIT") < page.text.index("six MIT")  # the worst first
    assert page.count("a", href="https://git.example/fp16") == 1


def test_a_table_says_what_it_is_and_what_its_heads_are() -> None:
    page = shown(document(source(), packages=[package(newer=1, newest="4.0"), package("ninja")]))
    assert page.count("table") == page.count("caption") == 3
    heads = [found for name, found in page.elements if name == "th"]
    assert all(one.get("scope") in ("col", "row") for one in heads)
    assert page.count("th", scope="row") == 3


def test_a_page_of_many_variants_has_an_overview() -> None:
    values = document(source(), grade="B")
    values["variants"] = [{**values["variants"][0], "variant": f"v{at}"} for at in range(3)]
    page = shown(values)
    assert [page.count("section", id=f"variant-{at}") for at in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert page.count("a", href="#variant-3") == 1
    assert ("title", "Health of what builds are made from: v0 B, v1 B, v2 B") in page.said


EMPTY: list[dict[str, Any]] = [
    {},
    {"date": None, "variants": None},
    {"variants": [{}]},
    {"date": "2026-11-25", "variants": [{"variant": None, "sources": [{}], "packages": [{}]}]},
    {"date": "nonsense", "variants": [{"sources": [{"upstream": None, "trend": [{}], "origins": [{}]}]}]},
]


@pytest.mark.parametrize("values", EMPTY)
def test_a_document_with_nothing_in_it(values: dict[str, Any]) -> None:
    page = shown(values)
    assert "None" not in "".join(data for _, data in page.said)
    assert "No variant was asked for." in page.text or page.count("section", id="variant-1") == 1


def test_what_is_not_known() -> None:
    nothing = dict.fromkeys(source()) | {"name": "six", "grade": "B"}
    silent = source(upstream={"unknown": "no answer in 8 seconds"}, origins=[{"kind": "git", "origin": "o"}])
    unknown = package(newest=None, newer=None, yanked=None, listing=None, released=None, unknown="no `index`")
    page = shown(document(nothing, silent, packages=[unknown, {**unknown, "name": "ninja"}]))
    assert "None" not in page.text
    assert "not known: no answer in 8 seconds" in page.text
    assert "0 of 1 answer git o, not asked" in page.text
    assert "2 toolchain packages not known: no index" in page.text
    assert "six licence not known" in page.text


def test_hostile_words_stay_words() -> None:
    def spoiled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: spoiled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [spoiled(one) for one in value]
        return HOSTILE if value is None or isinstance(value, str) else value

    values = document(source(**reason("r")), packages=[package(**reason("r")), package(yanked=True)])
    page = html(spoiled(values), rules=[(HOSTILE, HOSTILE)])
    found = Page(page)
    assert page.encode()  # no lone surrogate
    assert not {*page} & {"\x1b", "\u202e", "\0"}
    assert page.count("<script") == 0
    assert "<script>alert(1)</script>" in found.text
    assert r"\x1b[31m \u202e \ud800" in found.text


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "git@host:x", None, 3])
def test_only_addresses_of_the_web_are_links(url: Any) -> None:
    assert shown(document(source(repository=url))).count("a") == 0


def test_states_of_a_source() -> None:
    gone = {"archived": True, "moved_to": "https://git.example/new", "on_branch": False, "commit": "c" * 40}
    page = shown(document(source(upstream=gone, locked={"commit": None, "since": None})))
    assert "archived by its owner moved to https://git.example/new not in the branch's history" in page.text
    assert "files without a commit age of the lock not known" in page.text


def test_states_of_packages() -> None:
    found = [
        package("a", yanked=True),
        package("b", yanked="it <breaks>"),
        package("c", listing="withdrawn"),
        package("d", "C", newer=1, newest="4.0", **reason("1 newer", "`recipes lock d`")),
        package("e", listing="another hash"),
        package("f"),
    ]
    page = shown(document(packages=found, grade="C"))
    assert "d C toolchain 3.31.10 of 2025-11-20 4.0 1 newer version 1 newer a A" in page.text
    for expected in ("3.31.10 yanked b", "yanked: it <breaks>", "3.31.10 withdrawn", "3.31.10 another hash"):
        assert expected in page.text
    assert "1 package with nothing to say" in page.text
    assert "There are no sources." in page.text


def test_grades_are_letters_not_only_colours() -> None:
    page = shown(document(*(source(one, one) for one in "ABCDE"), source("x", "Z"), grade="E"))
    letters = [data for (name, data) in page.said if name == "span" and data in "ABCDE"]
    assert {*letters} == {*"ABCDE"}
    assert "no grade" in page.text
    assert "No rule costs any of its inputs its grade." in page.text


def test_rules_and_lists_that_are_long() -> None:
    many = [source(f"s{at}", "B", **reason(f"reason {at}", f"advice {at % 15}")) for at in range(40)]
    page = shown(document(*many, grade="B"), rules=[("B", "`behind` is more than 10")])
    assert "28 more reasons" in page.text
    assert "3 more things to do" in page.text
    assert "s0, s1, s2, s3, s4, s5 and 34 more." in page.text
    assert "B behind is more than 10" in page.text
    assert page.count("ol", start="13") == 1


def test_a_big_document_is_written_in_one_page() -> None:
    start = date(2023, 1, 1)
    trend = [
        {"date": (start + timedelta(days=at)).isoformat(), "grade": "ABCDE"[at // 250], "behind": at}
        for at in range(1000)
    ]
    page = html(
        document(
            *(source(f"s{at}", trend=trend) for at in range(30)),
            packages=[package(f"p{at}") for at in range(500)],
        )
    )
    found = Page(page)
    assert found.count("svg") == 30
    assert "500 packages with nothing to say" in found.text
    assert len(page) < 1_000_000


def test_the_page_is_the_same_each_time_and_fits_both_schemes() -> None:
    values = document(source(), packages=[package()])
    assert html(values) == html(values)
    style = next(data for name, data in Page(html(values)).said if name == "style")
    assert "prefers-color-scheme: dark" in style
    assert "url(" not in style
    assert "@import" not in style


# the trend


def points(*behind: int | None, grades: str = "") -> list[Dot]:
    start = date(2026, 1, 1)
    return [
        (start + timedelta(days=10 * at), (grades or "B" * len(behind))[at], one)
        for at, one in enumerate(behind)
    ]


def drawn(found: list[Dot]) -> Page:
    return Page(chart("fp16", found))


def test_no_day() -> None:
    assert drawn([]).text == "fp16 : no history yet"


def test_one_day() -> None:
    page = drawn(points(3))
    assert page.text.endswith("fp16 : 3 commits behind, grade B, on 2026-01-01")
    assert (page.count("circle"), page.count("polyline"), page.count("rect")) == (1, 0, 1)


def test_days_with_gaps() -> None:
    page = drawn(points(1, 2, None, 4, None, 8, 8, grades="AABBBCC"))
    lines = [found["points"] for name, found in page.elements if name == "polyline"]
    assert lines == ["40,64.2 85.3,56.5", "266.7,10 312,10"]
    assert page.count("circle") == 3
    assert page.count("rect", class_="gB") == 1
    assert page.text.endswith(
        "1 commit behind, then 8 commits behind; grade A, then C; 7 days from 2026-01-01 to 2026-03-02"
    )


def test_a_grade_of_a_day_among_many_has_no_letter() -> None:
    page = drawn(points(*[1] * 100, grades="A" * 50 + "B" + "A" * 49))
    assert page.count("rect") == 3
    assert page.count("text", class_="letter") == 2


def test_days_of_which_nothing_is_known() -> None:
    page = drawn(points(None, None))
    assert (page.count("circle"), page.count("polyline")) == (0, 0)
    assert "distance not known; grade B; 2 days" in page.text


def test_days_on_which_nothing_was_behind() -> None:
    page = drawn(points(0, 0))
    assert [found["points"] for name, found in page.elements if name == "polyline"] == ["40,72 312,72"]
    assert "0 commits behind; grade B" in page.text


def test_a_source_s_days_end_with_the_page_s() -> None:
    trend = [
        {"date": "2026-11-20", "grade": "A", "behind": 1},
        {"date": "2026-10-01", "grade": "A", "behind": None},
        {"date": "nonsense", "grade": "A", "behind": 1},
        {"date": "2026-11-25", "grade": "A", "behind": 7},
    ]
    assert dots(source(trend=trend, grade="B"), "2026-11-25") == [
        (date(2026, 10, 1), "A", None),
        (date(2026, 11, 20), "A", 1),
        (date(2026, 11, 25), "B", 33),
    ]
    assert dots({}, None) == []


def test_a_page_without_history_says_so() -> None:
    assert "No trend yet: there is no earlier day in the history." in shown(document(source())).text


# elements


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (text("a<b> & \"c'"), "a&lt;b&gt; &amp; &quot;c&#x27;"),
        (text(Markup("<b>")), "<b>"),
        (
            tag("p", "<", None, Markup("<b></b>"), class_="x", data_name='"'),
            '<p class="x" data-name="&quot;">&lt;<b></b></p>',
        ),
        (tag("meta", name="n", content=None), '<meta name="n">'),
        (tag("line", x1=1), '<line x1="1"/>'),
        (joined(["a", None, "<"], "; "), "a; &lt;"),
        (prose("see `a<b` and `c`"), "see <code>a&lt;b</code> and <code>c</code>"),
        (prose("one ` alone"), "one ` alone"),
    ],
)
def test_elements(made: Markup, expected: str) -> None:
    assert made == expected
    assert isinstance(made, Markup)


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="shorter"):
        table("t", ["a", "b"], [["1"]])
