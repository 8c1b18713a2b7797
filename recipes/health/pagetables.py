"""The tables of the health page: sources and packages. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from recipes.health.markup import Markup, joined, prose, table, tag

_SHORT = 12  # digits of a commit that are shown
_LINKED = ("https://", "http://")
_SOURCES = ("Source", "Grade", "Asked for", "Locked", "Upstream", "Behind", "Origins", "Ahead")
_PACKAGES = ("Package", "Grade", "For", "Locked", "Newest", "To say")


def badge(grade: Any) -> Markup:
    """Show a grade as its letter on its colour."""
    if grade not in ("A", "B", "C", "D", "E"):
        return unknown("no grade")
    return tag("span", grade, class_=f"grade g{grade}")


def unknown(why: Any = None) -> Markup:
    """Show that something is not known, and why where that is told."""
    return tag("span", prose(f"not known: {why}" if why else "not known"), class_="unknown")


def day(text: Any) -> date | None:
    """Read a day, or the day of a moment; None for what is neither."""
    try:
        return date.fromisoformat(text[:10]) if isinstance(text, str) else None
    except ValueError:
        return None


def worst_first(inputs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort by grade, the worst first; within one as they were."""
    return sorted(inputs, key=lambda one: str(one.get("grade") or "A"), reverse=True)


def reasons(one: Mapping[str, Any]) -> Markup:
    """Put an input's reasons into one line."""
    return joined((prose(reason.get("text")) for reason in one.get("reasons") or ()), "; ")


def sources(found: Sequence[Mapping[str, Any]], today: Any) -> Markup:
    """Show all sources, the worst first."""
    if not found:
        return tag("p", "There are no sources.", class_="unknown")
    return table(
        "All sources, the worst first", _SOURCES, [_source(one, today) for one in worst_first(found)]
    )


def _source(one: Mapping[str, Any], today: Any) -> tuple[object, ...]:
    return (
        joined(
            (
                _linked(one.get("name"), one.get("repository")),
                _small(one.get("licence") or "licence not known"),
            )
        ),
        badge(one.get("grade")),
        _asked(one.get("asked") or {}),
        _locked(one.get("locked") or {}, today),
        _upstream(one.get("upstream") or {}),
        _behind(one.get("upstream") or {}),
        _origins(one.get("origins") or ()),
        _ahead(one),
    )


def _small(*words: object) -> Markup:
    return tag("small", *words)


def _linked(text: Any, url: Any) -> Markup:
    if isinstance(url, str) and url.lower().startswith(_LINKED):
        return tag("a", text, href=url, rel="noreferrer")
    return tag("span", text)


def _commit(commit: Any) -> Markup:
    return tag("code", str(commit)[:_SHORT]) if commit else unknown()


def _asked(asked: Mapping[str, Any]) -> Markup:
    kind, ref = asked.get("kind"), asked.get("ref")
    floats = "floats" if kind == "branch" else "pinned"
    shown = tag("code", str(ref)[:40]) if ref and kind != "commit" else None
    before = f" before {asked['before']}" if asked.get("before") else None
    return joined((f"{kind or 'not known'} ", shown, before, _small(floats) if kind else None))


def _locked(locked: Mapping[str, Any], today: Any) -> Markup:
    since, now = day(locked.get("since")), day(today)
    commit = _commit(locked.get("commit")) if locked.get("commit") else tag("span", "files without a commit")
    of = day(locked.get("date"))
    age = f"locked {_days((now - since).days)} ago" if since and now else "age of the lock not known"
    return joined((commit, _small(f"of {of}") if of else None, _small(age)))


def _days(count: int) -> str:
    return f"{count} day{'' if count == 1 else 's'}"


def _upstream(one: Mapping[str, Any]) -> Markup:
    said = [_small(text) for text in _moves(one)]
    if one.get("commit") is None:
        return joined((unknown(one.get("unknown")), *said))
    at = day(one.get("date"))
    branch = one.get("branch")
    return joined(
        (
            _commit(one["commit"]),
            _small(f"of {at}") if at else None,
            _small("on ", tag("code", branch)) if branch else None,
            *said,
        )
    )


def _moves(one: Mapping[str, Any]) -> Iterator[str]:
    if one.get("archived"):
        yield "archived by its owner"
    if one.get("moved_to"):
        yield f"moved to {one['moved_to']}"


def _behind(one: Mapping[str, Any]) -> object:
    if one.get("on_branch") is False:
        return "not in the branch's history"
    count = one.get("behind")
    return unknown() if count is None else f"{count} commit{'' if count == 1 else 's'}"


def _origins(found: Sequence[Mapping[str, Any]]) -> Markup:
    if not found:
        return unknown()
    counted = [one.get("answers") for one in found]
    first = f"{counted.count(True)} of {len(found)} answer{'s' if counted.count(True) == 1 else ''}"
    return joined((first, *(_small(_origin(one)) for one in found)))


def _origin(one: Mapping[str, Any]) -> str:
    answers = one.get("answers")
    state = "not asked" if answers is None else "answers" if answers else "does not answer"
    why = f": {one['why']}" if one.get("why") else ""
    return f"{one.get('kind') or ''} {one.get('origin') or 'not known'}, {state}{why}".strip()


def _ahead(one: Mapping[str, Any]) -> Markup:
    head, found = one.get("head") or {}, one.get("ahead") or ()
    known = [
        joined(("known breakage ", tag("code", it.get("breakage")), " at " if it.get("commit") else None,
                _commit(it["commit"]) if it.get("commit") else None))
        for it in found
    ]  # fmt: skip
    status = head.get("status") or "not tried"
    why = f": {head['reason']}" if head.get("reason") else ""
    return joined((*(tag("small", it) for it in known), _small(prose(f"head {status}{why}"))))


def packages(found: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    """Show the packages that there is something to say of, then why some are not known, then the rest."""
    if not found:
        yield tag("p", "There are no packages.", class_="unknown")
        return
    telling = [one for one in found if _says(one)]
    rest = [one for one in found if not _says(one)]
    if telling:
        yield table(
            "Packages with something to say, the worst first", _PACKAGES, map(_package, worst_first(telling))
        )
    yield from _silent(rest)
    if rest:
        what = f"{len(rest)} package{'' if len(rest) == 1 else 's'} with nothing to say"
        yield tag(
            "details", tag("summary", what), table("The other packages", _PACKAGES, map(_package, rest))
        )


def _says(one: Mapping[str, Any]) -> bool:
    lost = one.get("listing") not in (None, "listed")
    return bool(one.get("reasons") or one.get("yanked") or one.get("newer") or lost)


def _silent(rest: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    """Tell each reason why packages are not known once."""
    counts: dict[tuple[str, str], int] = {}
    for one in rest:
        if one.get("unknown"):
            key = str(one.get("kind")), str(one["unknown"])
            counts[key] = counts.get(key, 0) + 1
    for (kind, why), count in counts.items():
        what = f"{count} {kind} package{'' if count == 1 else 's'} not known: "
        yield tag("p", tag("span", what, prose(why), class_="unknown"))


def _package(one: Mapping[str, Any]) -> tuple[object, ...]:
    released = one.get("released")
    return (
        one.get("name"),
        badge(one.get("grade")),
        one.get("kind"),
        joined((one.get("version"), _small(f"of {released}") if released else None)),
        _newest(one),
        _to_say(one),
    )


def _newest(one: Mapping[str, Any]) -> object:
    count = one.get("newer")
    if one.get("newest") is None:
        return unknown()
    more = _small(f"{count} newer version{'' if count == 1 else 's'}") if count else None
    return joined((one["newest"], more))


def _to_say(one: Mapping[str, Any]) -> Markup:
    yanked = one.get("yanked")
    words: list[object] = [*(prose(reason.get("text")) for reason in one.get("reasons") or ())]
    if not words and yanked:
        words.append("yanked" if yanked is True else f"yanked: {yanked}")
    if not words and one.get("listing") not in (None, "listed"):
        words.append(one["listing"])
    if not words and one.get("unknown"):
        return unknown(one["unknown"])
    return joined(words, "; ") if words else tag("span", "nothing", class_="soft")
