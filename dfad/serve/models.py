"""What requests are answered with, for the OpenAPI page; the answers are made by what makes those of `dfad score`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Why a request was not served."""

    error: str = Field(description="a short name", examples=["bad_request"])
    reason: str = Field(description="one line for a person", examples=["no audio that can be decoded"])


class WindowModel(BaseModel):
    """What the detector says of a part."""

    start_s: float
    end_s: float
    score: float
    p_spoof: float | None


class ScoreModel(BaseModel):
    """What the detector says of an upload: the fields of `dfad score --json --windows`."""

    verdict: Literal["bona-fide", "spoof"] = Field(description="at the threshold")
    p_spoof: float | None = Field(
        description="that it is synthetic, at `prior`; null of a raw cosine, which tells none"
    )
    score: float = Field(description="log-odds of bona fide; higher is more likely real")
    threshold: float = Field(description="in the units of `score`")
    threshold_from: str = Field(description="where the threshold comes from")
    calibrated: bool = Field(description="whether the score went through a calibrator; if not, mind `p_spoof`")
    unit: str = Field(description="of the score")
    prior: float = Field(description="share of spoof that is expected beforehand")
    raw_score: float = Field(description="what the network says")
    raw_threshold: float = Field(description="in its units; the verdict goes by this one")
    aggregation: str = Field(description="what made one score of the windows'")
    duration_s: float | None
    warnings: list[str] = Field(description="what to know before believing it, each as `name: what`")
    scored_by: str = Field(description="the run, and a hash of all that makes its scores")
    windows: list[WindowModel] = Field(description="the parts that were heard, in order")


class HealthModel(BaseModel):
    """How the server is."""

    run: str = Field(description="name of the run or checkpoint")
    ready: bool = Field(description="false while it shuts down; the status is then 503")
    at_work: int = Field(description="requests in the queue, from upload to answer")
    queue: int = Field(description="as many as it takes")
    waiting: int = Field(description="of those, clips and explanations that wait for the detector")


class AboutModel(BaseModel):
    """What the page tells of the detector and of the server's limits."""

    run: str
    demo: bool = Field(description="trained on synthetic voices: its verdicts prove nothing")
    caveats: list[str] = Field(description="what to know before believing any verdict")
    sample_rate: int = Field(description="that it hears, Hz")
    window_s: float = Field(description="how long a part it hears at a time")
    top_hz: float = Field(description="the highest frequency that it hears")
    calibrated: bool
    prior: float
    threshold: float
    threshold_from: str
    unit: str
    max_mb: float
    max_seconds: float


class MapModel(BaseModel):
    """How much each part speaks for spoof; negative: for bona fide."""

    name: str = Field(description="gradcam, gradients, occlusion-time, occlusion-frequency")
    unit: str
    hertz: list[float] = Field(description="ends of the rows, low frequencies first")
    seconds: list[float] = Field(description="ends of the columns")
    values: list[list[float]]


class PartModel(BaseModel):
    """The part that is explained."""

    start_s: float
    end_s: float
    heard_s: float
    score: float
    p_spoof: float | None
    verdict: str
    raw_score: float


class ExplanationModel(BaseModel):
    """What of one part speaks for spoof."""

    polarity: str
    result: ScoreModel
    explained: PartModel
    p_threshold: float | None = Field(description="P(spoof) at the threshold")
    maps: list[MapModel]
    notes: list[str] = Field(description="what could not be explained, and what to read with care")
