"""Corpora: a root folder → a manifest. A new one is a file here, a line in `CORPORA`, a YAML and a test."""

from dfad.corpora.asvspoof5 import Asvspoof5Knobs
from dfad.corpora.asvspoof2019 import Asvspoof2019LaKnobs
from dfad.corpora.asvspoof2021 import Asvspoof2021DfKnobs, Asvspoof2021LaKnobs
from dfad.corpora.base import CorpusKnobs
from dfad.corpora.demo import DemoKnobs
from dfad.corpora.fake_or_real import For2SecKnobs, ForNormKnobs, ForOriginalKnobs, ForRerecKnobs
from dfad.corpora.folder import FolderKnobs
from dfad.corpora.in_the_wild import InTheWildKnobs
from dfad.corpora.mix import MixKnobs, mix_of
from dfad.corpora.mlaad import MlaadKnobs
from dfad.corpora.packed import PackedKnobs
from dfad.corpora.table import ManifestKnobs
from dfad.corpora.wavefake import WaveFakeKnobs

CORPORA: dict[str, type[CorpusKnobs]] = {
    "demo": DemoKnobs,
    "folder": FolderKnobs,
    "manifest": ManifestKnobs,
    "packed": PackedKnobs,
    "for_original": ForOriginalKnobs,
    "for_norm": ForNormKnobs,
    "for_2sec": For2SecKnobs,
    "for_rerec": ForRerecKnobs,
    "asvspoof2019_la": Asvspoof2019LaKnobs,
    "asvspoof2021_la": Asvspoof2021LaKnobs,
    "asvspoof2021_df": Asvspoof2021DfKnobs,
    "asvspoof5": Asvspoof5Knobs,
    "in_the_wild": InTheWildKnobs,
    "wavefake": WaveFakeKnobs,
    "mlaad": MlaadKnobs,
}
CORPORA["mix"] = mix_of(CORPORA)  # of all of these

__all__ = ["CORPORA", "CorpusKnobs", "MixKnobs"]
