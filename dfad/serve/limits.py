"""What a server takes, and how much of the machine one upload may cost."""

from __future__ import annotations

from pydantic import Field

from dfad.knobs import Knobs

MB = 2**20


class Limits(Knobs):
    """Limits of a server.

    Attributes:
        max_mb: of an upload, MiB; a longer one is refused as soon as that is known.
        max_seconds: of sound.
        queue: requests at work at a time, from the first byte of an upload to its answer; one more is refused.
        explanations: of those, that ask for an explanation.
        decoders: processes that decode.
        upload_s: seconds that an upload may take.
        decode_s: seconds that its decoding may take, of the clock and of a core.
        decode_mb: MiB that its decoding may take beside what the decoder is.
    """

    max_mb: float = Field(32.0, gt=0)
    max_seconds: float = Field(600.0, gt=0)
    queue: int = Field(32, ge=1)
    explanations: int = Field(2, ge=1)
    decoders: int = Field(2, ge=1, le=64)
    upload_s: float = Field(60.0, gt=0)
    decode_s: float = Field(20.0, gt=0)
    decode_mb: float = Field(512.0, ge=64)

    @property
    def max_bytes(self) -> int:
        """Of an upload."""
        return int(self.max_mb * MB)
