"""Networks: features → one logit per clip. A new one is a file here, a line in `NETWORKS`, a YAML and a test."""

from collections.abc import Mapping

from dfad.networks.aasist import AASISTKnobs
from dfad.networks.base import NetworkKnobs
from dfad.networks.cnn import CNNKnobs
from dfad.networks.vgg16 import VGG16Knobs

NETWORKS: Mapping[str, type[NetworkKnobs]] = {"cnn": CNNKnobs, "vgg16": VGG16Knobs, "aasist": AASISTKnobs}

__all__ = ["NETWORKS", "NetworkKnobs"]
