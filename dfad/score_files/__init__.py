"""Score files of any detection system, read into a `ScoreTable`, and the text that ASVspoof's tools read."""

from dfad.score_files.asvspoof import write_asvspoof
from dfad.score_files.read import read_scores

__all__ = ["read_scores", "write_asvspoof"]
