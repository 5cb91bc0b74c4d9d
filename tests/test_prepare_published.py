"""`dfad prepare` on copies of published corpora that lie there already, each in its own layout."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from dfad.clips import Manifest
from dfad.commands.prepare import known, main
from dfad.corpora import CORPORA
from dfad.corpora.archives import SOURCES
from tests import stand_ins

NAMES = ("asvspoof2019_la", "asvspoof2021_la", "asvspoof2021_df", "asvspoof5", "in_the_wild", "wavefake", "mlaad")


def unlike_any_other(path: Path, spoof: bool) -> None:
    """Write noise that no other file has."""
    noise = np.random.default_rng(zlib.crc32(str(path).encode())).normal(size=1600)
    soundfile.write(path, 0.1 * noise, 16000)


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_found_looked_at_and_written_down(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = getattr(stand_ins, name)(tmp_path / "copy", unlike_any_other)
    before = CORPORA[name].read({"name": name, "path": str(root)}).manifest()
    words = ["dfad prepare", name, "--root", str(root), "--out", str(tmp_path / "out"), "--no-download"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as leave:
        main()
    out, err = capsys.readouterr()
    assert leave.value.code == 0, out + err
    assert f"{name} is there already" in out or f"of {name}: de_DE.tgz, " in out  # it has few of M-AILABS' languages
    after = Manifest.read(tmp_path / "out" / f"{name}.prepared.parquet")
    assert after.ids.tolist() == before.ids.tolist()
    assert after.frame["split"].tolist() == before.frame["split"].tolist()
    assert after.dealing == before.dealing
    assert after.notes == before.notes
    assert all(after.path(row).is_file() for row in range(len(after)))
    np.testing.assert_allclose(after.frame["duration_s"], 0.1)
    kept = [column for column in before.frame if column != "duration_s"]
    pd.testing.assert_frame_equal(after.frame[kept], before.frame[kept])


def test_every_archive_has_a_reader() -> None:
    assert set(SOURCES) <= {name for name in CORPORA if name in known()}
