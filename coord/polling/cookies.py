"""A cookie jar that stays empty."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy


def no_cookies() -> CookieJar:
    """A jar for an HTTP client that many targets share: it takes no cookie, and so sends none.

    The client's own would carry what one target sets into the requests of others, and would grow
    for as long as the process lives.
    """
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
