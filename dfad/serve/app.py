"""The routes: two that take audio, some that tell of the server, and the files of the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from dfad import __version__
from dfad.serve.guard import Guard
from dfad.serve.models import AboutModel, ExplanationModel, HealthModel, Problem, ScoreModel
from dfad.serve.page import FILES, read
from dfad.serve.refusals import MEANINGS, RefusedError, problem
from dfad.serve.service import Service
from dfad.serve.upload import drain

ABOUT = (
    "Send an audio file as the body of a request, not as a form: `curl --data-binary @clip.wav URL/score`. "
    "Nothing that is sent is kept, and the server calls nobody."
)
_AUDIO = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "required": True,
    "description": "the audio file as it is; told by its content, whatever its type says",
    "content": {"application/octet-stream": _AUDIO, "audio/*": _AUDIO},
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": meaning} for status, meaning in MEANINGS.items()
}
_REFUSALS[429]["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
_SENT: dict[str, Any] = {"openapi_extra": {"requestBody": _BODY}, "responses": _REFUSALS}
_NO_EXPLANATION = "`at_s` is no number, or no moment of the clip; or the detector is an exported graph."
_UNEXPLAINED = {422: {"model": Problem, "description": _NO_EXPLANATION}}


def create_app(service: Service, names: Iterable[str] = ()) -> ASGIApp:
    """The application.

    Args:
        service: the detector.
        names: by which the server may be called, beside `localhost` and addresses.
    """
    app = FastAPI(
        title=f"dfad serve {service.about.run}", version=__version__, description=ABOUT, docs_url=None, redoc_url=None
    )
    app.router.redirect_slashes = False
    _errors(app, service)
    _pages(app)

    @app.post("/score", response_model=ScoreModel, summary="Is this sound real?", **_SENT)
    async def score(request: Request) -> Response:
        """Score an audio file: what `dfad score --json --windows` says of it."""
        return JSONResponse(await service.score(request))

    @app.post(
        "/explain",
        response_model=ExplanationModel,
        summary="What of it speaks for spoof?",
        **_SENT | {"responses": _REFUSALS | _UNEXPLAINED},
    )
    async def explain(
        request: Request,
        at_s: Annotated[
            float | None, Query(ge=0, description="where the explained part begins; by default the most spoofed one")
        ] = None,
    ) -> Response:
        """Score an audio file, and explain one part of it over time and frequency. Takes some seconds."""
        return JSONResponse(await service.explain(request, at_s))

    @app.get(
        "/health", response_model=HealthModel, summary="Is the server ready?", responses={503: {"model": HealthModel}}
    )
    async def health() -> Response:
        """Tell the run and the length of the queue."""
        ready = not service.uploads.closing
        state = HealthModel(
            run=service.about.run,
            ready=ready,
            at_work=service.at_work,
            queue=service.limits.queue,
            waiting=service.batcher.queue.qsize(),
        )
        return JSONResponse(state.model_dump(), 200 if ready else 503)

    @app.get("/about", summary="What detector is it, and what are the limits?")
    async def about() -> AboutModel:
        """Tell what the page shows beside a verdict."""
        return service.about

    return Guard(app, names)


def _errors(app: FastAPI, service: Service) -> None:
    """Answer whatever is not served with the same kind of body."""

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        if error.status in (413, 429, 503):
            await drain(request.receive, service.limits.max_bytes)
        return JSONResponse(error.plain, error.status, {**error.headers, "Connection": "close"})

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> Response:
        (first, *_) = error.errors()
        return JSONResponse(problem(422, f"{first['loc'][-1]}: {first['msg'].lower()}"), 422)

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> Response:
        return JSONResponse(problem(error.status_code, str(error.detail).lower()), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return JSONResponse(problem(500, "a fault of the server's; its log says more"), 500)


def _pages(app: FastAPI) -> None:
    """Serve the files of the page, which are read once."""
    for route, (name, kind) in FILES.items():
        content = read(name)

        async def page(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=kind)

        app.add_api_route(route, page, methods=["GET", "HEAD"], include_in_schema=False)
