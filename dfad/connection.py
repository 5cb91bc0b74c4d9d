"""Verified HTTP connections whose failures are of two kinds: those that pass, and those that stay."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from dfad.errors import DataError
from dfad.tls import add_issuers, lacks_issuer, make_context, missing_issuers

TIMEOUT_S = 30.0  # without a byte
RANGE_UNKNOWN = 416  # HTTP: the file has no such bytes
Answer = HTTPResponse | HTTPError  # urllib's error for a status is an answer too
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers after which it is worth asking again


class Interrupted(Exception):  # noqa: N818
    """A failure that may pass: a connection that broke, a busy server."""


class Refused(Exception):  # noqa: N818
    """A failure that stays until somebody does something."""


class _Redirections(HTTPRedirectHandler):
    """Follows a redirection unless it leads from a verified connection to an open one."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Make the next request."""
        if urlsplit(newurl).scheme not in (("https",) if req.type == "https" else ("https", "http")):
            raise Refused(f"it leads to {newurl}, which is not secure")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Connection:
    """The way to one URL.

    Args:
        url: http or https.
        ca_file: PEM certificates to trust beside the system's.
        say: told in a line if the server's chain of certificates had to be completed.
    """

    def __init__(self, url: str, ca_file: Path | None, say: Callable[[str], None]) -> None:
        self.url, self.host, self.say = url, urlsplit(url).hostname, say
        self.context = make_context(ca_file)
        self.opener = build_opener(_Redirections, HTTPSHandler(context=self.context))
        self.reached = False  # an answer has come

    def ask(self, headers: Mapping[str, str]) -> Answer:
        """Send a request, and once more if the issuer of the server's certificate had to be fetched first.

        Returns:
            The answer: 200, 206, or 416.

        Raises:
            Interrupted: if it is worth asking again.
            Refused: if it is not.
        """
        try:
            return self._open(headers)
        except ssl.SSLCertVerificationError as error:
            self._complete_chain(error)
        try:
            return self._open(headers)
        except ssl.SSLCertVerificationError as error:
            raise _distrust(
                error, "its issuer's certificate was fetched, but does not lead to a trusted root"
            ) from None

    def _open(self, headers: Mapping[str, str]) -> Answer:
        try:
            answer: Answer = self.opener.open(Request(self.url, headers=dict(headers)), timeout=TIMEOUT_S)
        except HTTPError as error:
            if error.code != RANGE_UNKNOWN:
                error.close()
                kind = Interrupted if error.code in _PASSING else Refused
                raise kind(f"the server answers {error.code} {error.reason}") from None
            answer = error
        except URLError as error:
            reason: Any = error.reason
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise reason from None
            if self.reached or isinstance(reason, TimeoutError):
                raise Interrupted(f"no connection: {words(reason)}") from None
            where = "no network, or no such server" if isinstance(reason, socket.gaierror) else "no connection"
            raise Refused(f"{where}: {words(reason)}") from None
        except (HTTPException, OSError) as error:
            raise Interrupted(f"the connection broke: {words(error)}") from None
        self.reached = True
        return answer

    def _complete_chain(self, error: ssl.SSLCertVerificationError) -> None:
        """Fetch the certificates that the server leaves out; the context then decides whether they lead to a root."""
        if not lacks_issuer(error):
            raise _distrust(error, "") from None
        try:
            issuers = missing_issuers(self.url)
        except DataError as reason:
            raise _distrust(error, f"its issuer's certificate, which it leaves out, cannot be had: {reason}") from None
        if not issuers:
            raise _distrust(error, "its issuer is no authority that this machine trusts") from None
        add_issuers(self.context, issuers)
        names = "; ".join(issuer.subject.rfc4514_string() for issuer in issuers)
        self.say(f"{self.host} leaves out a certificate of its chain; it was fetched and will be verified: {names}")


def number(text: str | None) -> int | None:
    """The number of bytes that a header says, None if it says none."""
    return int(text) if text and text.isdecimal() and len(text) < 20 else None


def words(error: object) -> str:
    """Why the system says that something failed, without its number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _distrust(error: ssl.SSLCertVerificationError, more: str) -> Refused:
    lines = [f"the server's certificate cannot be verified: {error.verify_message}", more]
    lines.append("it is never used unverified: give missing certificates as --ca-file chain.pem, or use a browser")
    return Refused("\n".join(filter(None, lines)))
