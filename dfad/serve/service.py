"""From an upload to an answer: admitted, received, decoded, scored, explained, forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from starlette.requests import Request

from dfad.errors import AudioError, ConfigError
from dfad.explain import explain
from dfad.scorer import Scorer
from dfad.scoring.options import ScoringKnobs
from dfad.scoring.result import Result
from dfad.serve.batcher import Batcher
from dfad.serve.decoder import Order
from dfad.serve.decoders import Decoders, Heard
from dfad.serve.limits import MB, Limits
from dfad.serve.models import AboutModel
from dfad.serve.refusals import RefusedError
from dfad.serve.upload import Uploads, shutting_down

Describe = Callable[[Result], dict[str, Any]]
_RETRY_S = 1


class Service:
    """A detector with its decoders and its queue.

    Args:
        scorer: the detector.
        describe: what is answered of a result.
        about: what is told of the detector.
        limits: of the server.

    Raises:
        DfadError: if the decoders do not start.
    """

    def __init__(self, scorer: Scorer, describe: Describe, about: AboutModel, limits: Limits) -> None:
        self.scorer, self.describe, self.about, self.limits = scorer, describe, about, limits
        self.options = ScoringKnobs(max_hours=(limits.max_seconds + 1) / 3600)  # the decoder has measured it already
        self.uploads = Uploads(limits)
        self.at_work = self.explaining = 0
        order = Order(about.sample_rate, limits.max_seconds, limits.decode_s, int(limits.decode_mb * MB))
        self.decoders = Decoders(limits.decoders, order)
        self.batcher = Batcher(scorer, self.options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.decoders.close()
        self.batcher.close()

    async def score(self, request: Request) -> dict[str, Any]:
        """Score the body of a request.

        Raises:
            RefusedError: if it is not served.
        """
        with self._admitted():
            return self.describe(await self._result(await self._heard(request)))

    async def explain(self, request: Request, at_s: float | None) -> dict[str, Any]:
        """Explain the score of one.

        Raises:
            RefusedError: if it is not served.
        """
        with self._admitted(explaining=True):
            heard = await self._heard(request)
            result = await self._result(heard)

            def work() -> dict[str, Any]:
                found = explain(self.scorer, heard.wave, self.about.sample_rate, at_s=at_s, result=result)
                return found.to_json()

            try:
                return {**await asyncio.wrap_future(self.batcher.do(work)), "result": self.describe(result)}
            except ConfigError as error:
                raise RefusedError(422, str(error)) from None
            except AudioError as error:
                raise RefusedError(400, str(error)) from None

    @contextmanager
    def _admitted(self, *, explaining: bool = False) -> Iterator[None]:
        if self.uploads.closing:
            raise shutting_down()
        if self.at_work >= self.limits.queue:
            raise RefusedError(429, f"{self.at_work} requests are at work; try again in a moment", retry_s=_RETRY_S)
        if explaining and self.explaining >= self.limits.explanations:
            raise RefusedError(
                429, f"{self.explaining} explanations are at work; try again in a moment", retry_s=5 * _RETRY_S
            )
        self.at_work += 1
        self.explaining += explaining
        try:
            yield
        finally:
            self.at_work -= 1
            self.explaining -= explaining

    async def _heard(self, request: Request) -> Heard:
        async with self.uploads.received(request.headers, request.receive) as file:
            return await asyncio.wrap_future(self.decoders(file))

    async def _result(self, heard: Heard) -> Result:
        try:
            return await asyncio.wrap_future(self.batcher.score(heard))
        except AudioError as error:
            raise RefusedError(400, str(error)) from None
