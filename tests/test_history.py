from datetime import UTC, datetime

import pytest

from recipes import history
from recipes.history import Step


def at(minute: int) -> datetime:
    return datetime(2024, 5, 27, 20, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes", "moment", "found"),
    [  # dates of commits from the first on; which of them it is
        ([1, 2, 3], 2, 1),
        ([1, 2, 3], 9, 2),
        ([1, 2, 3], 0, None),
        ([1, 2, 2, 3], 2, 2),
        ([2, 2], 2, 1),
        ([], 2, None),
        ([1, 5, 3, 6], 2, 0),  # the third names the second, so it cannot be from minute 3
        ([1, 5, 3, 6], 4, 0),
        ([1, 5, 3, 6], 5, 2),
        ([1, 2, 9, 2], 3, 1),  # nothing that comes later changes the answer
        ([9, 1, 2], 3, None),
    ],
)
def test_what_a_branch_was_at(minutes: list[int], moment: int, found: int | None) -> None:
    steps = [Step(str(place), at(minute), "") for place, minute in enumerate(minutes)]
    tip = history.tip(steps[::-1], at(moment))
    assert (tip and int(tip.commit)) == found


@pytest.mark.parametrize("more", [[3], [8], [0, 9], [9, 0, 0]])
def test_later_commits_do_not_change_what_it_was(more: list[int]) -> None:
    minutes = [1, 2, 4]
    for moment in range(4):
        answers = {
            history.tip([Step(str(n), at(one), "") for n, one in enumerate(line)][::-1], at(moment))
            for line in (minutes, minutes + more)
        }
        assert len(answers) == 1


@pytest.mark.parametrize(
    ("text", "date", "subject"),
    [
        (b"1716842321\0fix the build", datetime(2024, 5, 27, 20, 38, 41, tzinfo=UTC), "fix the build"),
        (b"0\0", datetime(1970, 1, 1, tzinfo=UTC), ""),
        (b"\0no date", datetime(1970, 1, 1, tzinfo=UTC), "no date"),
        (b"99999999999999\0far", datetime(9999, 12, 31, tzinfo=UTC), "far"),
        (b"0\0\x1b[31mred\xff \xc3\xa9\0x", datetime(1970, 1, 1, tzinfo=UTC), "[31mred éx"),
    ],
)
def test_what_git_lists_is_read(text: bytes, date: datetime, subject: str) -> None:
    listing = b"commit " + b"12" * 20 + b"\n" + text + b"\n"
    assert history.parse(listing * 2) == [Step("12" * 20, date, subject)] * 2
    assert history.parse(b"") == []
