"""Networks: features → one logit per clip. A new one is a file here, a line in `NETWORKS`, a YAML and a test."""

from collections.abc import Mapping

from dfad.networks.aasist import AASISTKnobs
from dfad.networks.base import NetworkKnobs
from dfad.networks.cnn import CNNKnobs
from dfad.networks.lcnn import LCNNKnobs
from dfad.networks.rawnet2 import RawNet2Knobs
from dfad.networks.resnet18 import ResNet18Knobs
from dfad.networks.ssl import SSLKnobs
from dfad.networks.vgg16 import VGG16Knobs

NETWORKS: Mapping[str, type[NetworkKnobs]] = {
    "cnn": CNNKnobs,
    "lcnn": LCNNKnobs,
    "vgg16": VGG16Knobs,
    "resnet18": ResNet18Knobs,
    "rawnet2": RawNet2Knobs,
    "aasist": AASISTKnobs,
    "ssl": SSLKnobs,
}

__all__ = ["NETWORKS", "NetworkKnobs"]
