"""When to try again and when to stop: pure decisions, without a clock or a socket."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# 408 and 425 ask for it in so many words; 409 is what some gateways answer while a model is being loaded. 5xx but 501
# and 505 are said of the moment, not of the request.
RETRIED_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
FIRST_WAIT_S = 0.5
LONGEST_STEP_S = 30.0


def backoff_s(attempt: int, draw: random.Random) -> float:
    """Seconds to wait before the next try: doubled each time, drawn from its upper half so that clients spread.

    Args:
        attempt: 0 after the first try.
    """
    step = min(LONGEST_STEP_S, FIRST_WAIT_S * 2.0 ** min(attempt, 16))
    return step * (0.5 + 0.5 * draw.random())


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """What the server says about when to come back, in seconds (RFC 9110, 10.2.3: a number or a date).

    ``retry-after-ms``, which some hosted services send beside it, goes first. Null where nothing readable is said.
    """
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return ms / 1000.0
    said = headers.get("Retry-After")
    if (seconds := _number(said)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(said or "")
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0.0 <= value < 1e9 else None


class Outage:
    """Counts failures in a row, to tell a bad sample from a server that is gone.

    A run of a hundred thousand requests must not try each of them to the end at a server that does not answer any
    more, or that refuses all of them.

    Args:
        limit: failures in a row that are still taken as failures of single requests.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._in_a_row = 0
        self._ever_answered = False
        self.last = ""

    def answered(self) -> None:
        """One request has an answer."""
        self._in_a_row, self._ever_answered = 0, True

    def failed(self, message: str, *, of_server: bool) -> bool:
        """One request has finally failed; True if the server must be given up.

        Args:
            of_server: no connection, 5xx, refused key: not the request's own fault. Failures that are the request's
                own count only while nothing was ever answered.
        """
        if of_server or not self._ever_answered:
            self._in_a_row += 1
            self.last = message
        return self._in_a_row >= self.limit
