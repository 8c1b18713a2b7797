import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from recipes import dates

FORM = "a date is written as in ISO 8601, with its time zone: `2024-05-27T20:40:00Z`"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-27T20:40:00Z", datetime(2024, 5, 27, 20, 40, tzinfo=UTC)),
        ("2024-05-27 22:40:00+02:00", datetime(2024, 5, 27, 20, 40, tzinfo=UTC)),
        ("2024-05-27T20:40Z", datetime(2024, 5, 27, 20, 40, tzinfo=UTC)),
        ("2024-05-27T20:40:00.5Z", datetime(2024, 5, 27, 20, 40, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_in_utc(text: str, moment: datetime) -> None:
    assert dates.moment(text) == moment
    assert dates.moment(text).tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2024-05-27", "`2024-05-27` has no time zone: for UTC write `2024-05-27T00:00:00Z`"),
        (
            "2024-05-27T20:40:00",
            "`2024-05-27T20:40:00` has no time zone: for UTC write `2024-05-27T20:40:00Z`",
        ),
        ("yesterday", FORM),
        ("", FORM),
        ("1716842321", FORM),
        ("2024-02-30T00:00:00Z", FORM),
        ("0001-01-01T00:00:00+14:00", FORM),
        ("9999-12-31T23:59:59-14:00", FORM),
    ],
)
def test_what_names_no_moment(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dates.moment(text)


def test_a_day_is_taken_to_its_end() -> None:
    assert dates.moment_or_day("2024-05-20") == datetime(2024, 5, 20, 23, 59, 59, tzinfo=UTC)
    assert dates.moment_or_day("2024-05-20T01:00:00Z") == datetime(2024, 5, 20, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match=f"^{FORM}$"):
        dates.moment_or_day("2024-05")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 5, 27, 20, 40, tzinfo=UTC), "2024-05-27T20:40:00Z"),
        (datetime(2024, 5, 27, 1, 0, 0, 5, timezone(timedelta(hours=2))), "2024-05-26T23:00:00.000005Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
    ],
)
def test_a_moment_is_written(moment: datetime, text: str) -> None:
    assert dates.written(moment) == text
    assert dates.moment(text) == moment
