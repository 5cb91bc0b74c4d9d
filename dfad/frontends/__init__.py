"""Frontends: waveform → features, without trained parameters, each clip on its own.

The only place that uses `torchaudio.transforms`. A new one is a file here, a line in `FRONTENDS`, a YAML and a test.
"""

from collections.abc import Mapping

from dfad.frontends.base import Frontend, FrontendKnobs
from dfad.frontends.cepstral import LFCCKnobs, MFCCKnobs
from dfad.frontends.cqt import CQTKnobs
from dfad.frontends.raw import RawKnobs
from dfad.frontends.spectral import LogMelKnobs, LogSpecKnobs

FRONTENDS: Mapping[str, type[FrontendKnobs]] = {
    "logmel": LogMelKnobs,
    "logspec": LogSpecKnobs,
    "lfcc": LFCCKnobs,
    "mfcc": MFCCKnobs,
    "cqt": CQTKnobs,
    "raw": RawKnobs,
}

__all__ = [
    "FRONTENDS",
    "CQTKnobs",
    "Frontend",
    "FrontendKnobs",
    "LFCCKnobs",
    "LogMelKnobs",
    "LogSpecKnobs",
    "MFCCKnobs",
    "RawKnobs",
]
