"""`dfad serve RUN`: a detector behind HTTP, and a page for a person."""

from __future__ import annotations

import ipaddress
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dfad.commands.chosen import DEMO, chosen, detector, of_demo, results_of, scored_by
from dfad.commands.console import CONSOLE
from dfad.commands.guard import guarded
from dfad.commands.score_rows import row_of
from dfad.commands.tables import note
from dfad.errors import ConfigError
from dfad.scoring.options import ScoringKnobs
from dfad.scoring.result import Result
from dfad.serve.limits import Limits

if TYPE_CHECKING:
    from dfad.scorer import Scorer
    from dfad.serve.models import AboutModel

STOPPED = "this server; nothing that was sent is kept"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad serve"), stopped=STOPPED))


@app.command()
def command(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="run folder or checkpoint; the latest finished run by default"),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="to listen on; only this machine by default")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="to listen on; 0: any that is free")] = 8000,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="by which the server may be called, beside localhost")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; a GPU by default if there is one")] = None,
    prior: Annotated[
        float | None, typer.Option(help="share of spoof that P(spoof) expects; the run's by default")
    ] = None,
    max_mb: Annotated[float, typer.Option(metavar="MIB", help="of an upload")] = Limits().max_mb,
    max_seconds: Annotated[float, typer.Option(metavar="S", help="of sound")] = Limits().max_seconds,
    queue: Annotated[int, typer.Option(help="requests at work at a time; more are answered 429")] = Limits().queue,
    decoders: Annotated[int, typer.Option(help="processes that decode")] = Limits().decoders,
    decode_seconds: Annotated[
        float, typer.Option(metavar="S", help="for one upload to be decoded")
    ] = Limits().decode_s,
    decode_mb: Annotated[float, typer.Option(metavar="MIB", help="of memory for that")] = Limits().decode_mb,
) -> None:
    """Serve a trained detector: a page for a person, and POST /score for programs.

    Audio is decoded in processes of their own, with limits; nothing that is
    sent is kept, and no request leaves the machine. Ctrl-C ends it once all
    that is at work is answered.
    """
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise ConfigError("dfad serve needs two more packages; type: pip install 'dfad[serve]'")
    from dfad.serve.app import create_app
    from dfad.serve.batcher import silence
    from dfad.serve.running import listen, serve
    from dfad.serve.service import Service

    if prior is not None and not 0 < prior < 1:
        raise ConfigError(f"--prior {prior:g}: a share of spoof between 0 and 1")
    limits = Limits.read(
        {
            "max_mb": max_mb,
            "max_seconds": max_seconds,
            "queue": queue,
            "decoders": decoders,
            "decode_s": decode_seconds,
            "decode_mb": decode_mb,
        }
    )
    run = chosen(run)
    scorer = detector(run, device, prior)
    by = scored_by(run, scorer, ScoringKnobs(), windows=True)
    with listen(host, port) as listening:
        silence(scorer)
        with Service(scorer, lambda result: _described(result, by), _about(run, scorer, limits), limits) as service:
            here, taken = listening.getsockname()[:2]
            if not ipaddress.ip_address(here).is_loopback:
                note(f"anybody who reaches {here} can use this server and listen in: docs/serve.md says what to do")
            shown = f"[{here}]" if ":" in here else here
            CONSOLE.print(f"run {run} at http://{shown}:{taken}/ (Ctrl-C ends it)", markup=False)
            sys.stdout.flush()
            serve(create_app(service, allow_host or ()), service, listening)


def _described(result: Result, by: str) -> dict[str, Any]:
    """What `dfad score --json --windows` says of it, but for the name of a file."""
    row = row_of(Path(), result, by, windows=True)
    return {name: value for name, value in row.items() if name not in ("path", "error")}


def _about(run: Path, scorer: Scorer, limits: Limits) -> AboutModel:
    """What the page tells of the detector."""
    from dfad.serve.models import AboutModel

    frontend, usual = scorer.knobs.frontend, scorer.judge(0.0)
    return AboutModel(
        run=run.resolve().name,
        demo=of_demo(run),
        caveats=caveats(run, scorer),
        sample_rate=frontend.sample_rate,
        window_s=frontend.crop_s,
        top_hz=frontend.top_hz,
        calibrated=usual.calibrated,
        prior=usual.prior,
        threshold=usual.threshold,
        threshold_from=usual.threshold_from,
        unit=usual.unit,
        max_mb=limits.max_mb,
        max_seconds=limits.max_seconds,
    )


def caveats(run: Path, scorer: Scorer) -> list[str]:
    """What a person should know of a detector before believing any of its verdicts."""
    found, results = [], results_of(run)
    if of_demo(run):
        found.append(DEMO)
    if scorer.deployed.threshold is None:
        found.append("Its threshold was not chosen on validation clips: verdicts are as training left them.")
    if scorer.deployed.calibrator is None:
        found.append("Its scores are not calibrated: read P(spoof) as an order, not as a probability.")
    if scorer.deployed.familiar is None:
        found.append("It does not tell what its training clips sounded like, so clips unlike them are not warned of.")
    rates = [results.get("values", {}).get(f"test/{kind}_at_val") for kind in ("miss", "false_alarm")]
    if all(isinstance(rate, float) for rate in rates):
        miss, alarm = rates
        found.append(
            f"On the test clips of its own corpus it took {miss:.1%} of the real ones for synthetic and {alarm:.1%} of "
            "the synthetic ones for real. On other voices, languages, channels or generators it may err far more often."
        )
    return found
