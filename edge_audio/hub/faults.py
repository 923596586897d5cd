"""What goes wrong between here and the Hub: what passes is waited for, the rest is explained in one
line with what to do.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from edge_audio.errors import EdgeAudioError, first_line

T = TypeVar("T")

#: HTTPError of httpx or of httpx2, whichever the client is built on: that of all its errors
HTTPError: type[Exception] = HfHubHTTPError.__bases__[0]
#: seconds before what failed without any progress is tried again, the first time and so on
PAUSES = (1.0, 2.0, 4.0, 8.0)
#: tries after the first where nothing has answered yet: most likely there is no connection
UNHEARD = 2
#: seconds that a server may ask to wait; when it asks for more, that is said instead
LONGEST_PAUSE = 300.0
AGAIN = "run the same command again, it goes on where it was"
LOGIN = "`hf auth login`, or HF_TOKEN"
_PASSING = (408, 429, 500, 502, 503, 504)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def patiently(what: str, call: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
    """What `call` returns. It is called again while its fault is one that passes.

    what: the repository, as owner/name. progress: grows while calls get further; whoever gets
    further has all tries again. EdgeAudioError explains a fault that stays.
    """
    tries, reached = 0, progress()
    while True:
        try:
            return call()
        except (HTTPError, OSError) as error:
            got_further = progress() > reached
            if got_further:
                tries, reached = 0, progress()
            pause = _pause(error, tries, len(PAUSES) if reached or _status(error) else UNHEARD)
            if pause is None:
                raise explained(error, what) from None
            tries += 1
            was_cut = got_further and not _status(error)
            sleep(0.0 if was_cut else pause)


def explained(error: Exception, what: str) -> EdgeAudioError:
    """The fault in one line, with what to do."""
    status, said = _status(error), _said(error)
    page = f"{constants.ENDPOINT}/{what}"
    if isinstance(error, GatedRepoError) or (status == 403 and "gated" in said.lower()):
        return EdgeAudioError(_gated(status, said, what, page))
    if status == 401 and "credentials" in said.lower():
        return EdgeAudioError(
            f"{constants.ENDPOINT} does not know this token; make one that reads at"
            f" {constants.ENDPOINT}/settings/tokens and give it to {LOGIN}"
        )
    if isinstance(error, RevisionNotFoundError):
        return EdgeAudioError(f"{what} has no such revision; see {page}/commits/main")
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        private = (
            "it is private and this token may not see it"
            if get_token()
            else f"it is private: give a token that may see it ({LOGIN})"
        )
        return EdgeAudioError(f"there is no {page}, or {private}; check the name")
    if status == 429:
        wait = _asked_pause(error)
        when = f"in {wait:.0f} seconds" if wait else "in a few minutes"
        token = "" if get_token() else f"; with a token the limit is higher ({LOGIN})"
        return EdgeAudioError(f"{what}: too many requests from here; {when} {AGAIN}{token}")
    if status >= 500 or status == 408:
        return EdgeAudioError(
            f"{what}: {constants.ENDPOINT} fails with {status}; this is theirs and passes: later"
            f" {AGAIN}"
        )
    if status == 404:
        return EdgeAudioError(f"{what}: a file that was listed is gone; {AGAIN}, on what is there")
    if status:
        return EdgeAudioError(
            f"{what}: access denied ({status}{': ' if said else ''}{said}); check on {page} what"
            " this account and its token may do"
        )
    if isinstance(error, OfflineModeIsEnabled):
        return EdgeAudioError(f"{what} cannot be fetched offline; unset HF_HUB_OFFLINE")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EdgeAudioError(f"{what}: the disk is full; free some space, then {AGAIN}")
    if isinstance(error, OSError) and error.errno and error.filename:
        return EdgeAudioError(f"{error.filename}: {error.strerror}; choose another folder")
    return EdgeAudioError(
        f"{constants.ENDPOINT} cannot be reached ({first_line(error)[:120]}); check the connection,"
        f" then {AGAIN}"
    )


def _gated(status: int, said: str, what: str, page: str) -> str:
    text = said.lower()
    if status == 401 and not get_token():
        return (
            f"{what} is gated and there is no token here: open {page}, log in and accept its terms,"
            f" make a token that reads at {constants.ENDPOINT}/settings/tokens, give it to {LOGIN}"
        )
    if "fine-grained" in text:
        return (
            f"{what} is gated and this token may not read gated repositories: at"
            f" {constants.ENDPOINT}/settings/tokens allow it to read public gated repositories, or"
            " make one of the kind Read"
        )
    if "awaiting" in text or "pending" in text:
        return f"{what}: its authors have not answered yet; {page} shows when they have"
    if "rejected" in text:
        return f"{what}: its authors denied this account access; see {page}"
    return (
        f"{what} is gated and its terms are not accepted yet by the account of this token: open"
        f" {page}, log in and accept them, then run the same command again"
    )


def _pause(error: Exception, tries: int, most: int) -> float | None:
    """Seconds to wait before the next try, of so many at most; None if there is none."""
    status = _status(error)
    is_local = isinstance(error, OSError) and error.errno is not None and not status
    passes = status in _PASSING if status else not is_local
    if not passes or tries >= most or isinstance(error, OfflineModeIsEnabled):
        return None
    asked = _asked_pause(error) or PAUSES[tries]
    return asked if asked <= LONGEST_PAUSE else None


def _asked_pause(error: Exception) -> float:
    """Seconds that the server asks to wait, 0 where it does not."""
    if not isinstance(error, HfHubHTTPError):
        return 0.0
    headers = error.response.headers
    after = headers.get("retry-after", "").strip()
    limit = re.search(r";\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d{1,7})", headers.get("ratelimit", ""))
    if re.fullmatch(r"\d{1,7}", after):
        return float(after)
    return float(limit[1]) if limit else 0.0


def _status(error: Exception) -> int:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else 0


def _said(error: Exception) -> str:
    """What the server says about it: a stranger's words."""
    said = error.server_message if isinstance(error, HfHubHTTPError) else ""
    return " ".join((said or "").split())[:160]
