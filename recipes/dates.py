"""Moments in time as specs and locks write them: ISO 8601 with a time zone, kept in UTC; and days."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Annotated, Any

import pydantic

_FORM = "a date is written as in ISO 8601, with its time zone: `2024-05-27T20:40:00Z`"
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def moment(text: str) -> datetime:
    """Read a moment, in UTC. Raises ValueError, also for one without a time zone: it names no moment."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):  # the second for year 1 or 9999, in UTC another
        raise ValueError(_FORM) from None
    raise ValueError(f"`{text}` has no time zone: for UTC write `{written(found.replace(tzinfo=UTC))}`")


def moment_or_day(text: str) -> datetime:
    """Read a moment, or a day as its last second in UTC. Raises ValueError."""
    return moment(f"{text}T23:59:59Z" if _DAY.fullmatch(text) else text)


def written(when: datetime) -> str:
    """Write a moment: `2024-05-27T20:38:41Z`, with a fraction of the second only where it has one."""
    return when.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _given(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError(_FORM)  # noqa: TRY004 - pydantic's
    return moment(value)


Moment = Annotated[
    datetime,
    pydantic.BeforeValidator(_given, json_schema_input_type=datetime),
    pydantic.PlainSerializer(written, return_type=str, when_used="json"),
]


def _day(value: Any) -> date:
    if type(value) is date:  # a datetime is one, too
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise ValueError("a day is written as in ISO 8601: `2026-12-09`")


Day = Annotated[date, pydantic.BeforeValidator(_day, json_schema_input_type=date)]
