"""Requests that are not served, each with a status and one reason in plain words."""

from __future__ import annotations

from http import HTTPStatus

MEANINGS = {  # what the OpenAPI page says of each
    400: "No body, or no sound in it that can be decoded and used; the reason says why.",
    403: "Sent by a page of another site.",
    408: "The upload took too long.",
    413: "Too large or too long, or decoding it takes too much memory.",
    421: "The Host header names another host than this one.",
    429: "As many requests are at work as the server takes; try again after `Retry-After` seconds.",
    503: "The server is shutting down.",
    504: "Decoding ran too long.",
}


class RefusedError(Exception):
    """A request that is not served.

    Attributes:
        status: of HTTP.
        reason: one line for a person.
        retry_s: seconds after which trying again may help; None if it will not.
    """

    def __init__(self, status: int, reason: str, *, retry_s: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.retry_s = status, reason, retry_s

    @property
    def plain(self) -> dict[str, str]:
        """The body of the answer."""
        return problem(self.status, self.reason)

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer, beside the usual ones."""
        return {} if self.retry_s is None else {"Retry-After": str(self.retry_s)}


def problem(status: int, reason: str) -> dict[str, str]:
    """A refusal as JSON.

    >>> problem(413, "70 MiB")
    {'error': 'content_too_large', 'reason': '70 MiB'}
    """
    names = {
        413: "content_too_large",
        422: "unprocessable_content",
        421: "misdirected_request",
    }  # older Pythons call them otherwise
    return {"error": names.get(status) or HTTPStatus(status).phrase.lower().replace(" ", "_"), "reason": reason}
