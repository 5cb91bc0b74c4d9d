"""`dfad pack`: the same pack after a kill, clips that cannot be used, damage found; training on packs as on files."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dfad.audio import LIMITS
from dfad.clips import Manifest
from dfad.corpora.packed_clips import Recipe
from dfad.corpora.packing import write_pack
from dfad.errors import ConfigError
from dfad.packs import where
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.scoring import SILENT
from tests.conftest import ROOT, Called, environment
from tests.packs import packed, shelf

SLOWLY = """
import sys
from pathlib import Path
from tests.test_pack_command import pack
pack(Path(sys.argv[1]), Path(sys.argv[2]), wait=0.1)
"""


def pack(clips: Path, out: Path, wait: float = 0.0) -> None:
    """As the command does it, with small chunks."""
    recipe = Recipe("pcm", 16000, 100_000)
    write_pack(Manifest.read(clips), where(str(out)), recipe, limits=LIMITS, progress=lambda *_: time.sleep(wait))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


@pytest.fixture
def clips(manifest_csv: Path, tmp_path: Path) -> Path:
    """The small corpus, to be damaged."""
    shutil.copytree(manifest_csv.parent, tmp_path / "corpus")
    return tmp_path / "corpus" / "manifest.csv"


def test_a_killed_pack_goes_on_and_ends_in_the_same_files(clips: Path, tmp_path: Path) -> None:
    pack(clips, tmp_path / "whole")
    assert len(files(tmp_path / "whole")) > 10
    out = tmp_path / "killed"
    command = [sys.executable, "-c", SLOWLY, str(clips), str(out)]
    process = subprocess.Popen(command, env=environment() | {"PYTHONPATH": str(ROOT)})
    while len(list(out.glob("*.tar"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.15)  # into the next one
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "pack.json").exists()
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    pack(clips, out)
    assert files(out) == files(tmp_path / "whole")
    kept = [name for name, when in times.items() if (out / name).stat().st_mtime_ns == when]
    assert len(kept) >= 3  # what was there was not made again


def test_what_the_command_says(clips: Path, tmp_path: Path, command: Called) -> None:
    code, out, err = command("pack", clips, "--out", "packs/p", "--as", "pcm")
    assert (code, err) == (0, "")
    assert "pack packs/p 48 clips, 962 kB in 3 chunks" in out
    assert "next: dfad train data=packed data.path=packs/p" in out
    assert "note" not in out
    before = files(tmp_path / "packs" / "p")
    code, out, _ = command("pack", clips, "--out", "packs/p", "--as", "pcm")
    assert code == 0
    assert "is there already: 48 clips" in out
    assert files(tmp_path / "packs" / "p") == before
    assert command("pack", "packs/p", "--verify")[0] == 0
    assert command("audit", "packs/p", "--out", "audit")[0] == 0  # a pack is a corpus to other commands
    code, _, err = command("prepare", "packed", "--root", "packs/p")
    assert code == 2
    assert "dfad pack DIR --verify" in err


def test_other_rates_are_converted_once_and_told(clips: Path, command: Called) -> None:
    code, out, _ = command("pack", clips, "--out", "p", "--as", "flac", "--rate", 8000)
    assert code == 0
    assert "note 48 clips were resampled, mixed down or rounded to 16 bits" in out
    manifest, _ = packed("p")
    assert manifest.notes[0].startswith("packed as 8,000 Hz mono in 16 bits: 48 of 48 clips")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "what shall be packed? dfad pack clips.csv"),
        (("corpus/manifest.csv",), 2, "where to? dfad pack corpus/manifest.csv --out DIR"),
        (("corpus/manifest.csv", "--out", "corpus/manifest.csv"), 2, "that is a file; give a folder"),
        (("corpus/manifest.csv", "--out", "p", "--as", "mp3"), 2, "--as mp3: choose from: as-is, pcm, flac"),
        (("corpus/manifest.csv", "--out", "corpus"), 3, "corpus holds other files; give an empty or a new folder"),
        (("corpus/manifest.csv", "--out", "https://host/p"), 2, "a web server takes no files"),
        (("corpus/manifest.csv", "--out", "ftp://host/p"), 2, "expected a folder, or an address that begins with"),
        (("nothing", "--out", "p"), 3, "no manifest, folder or corpus 'nothing'"),
        (("corpus", "--verify"), 3, "no pack at corpus"),
    ],
)
def test_refusals(words: tuple[str, ...], code: int, told: str, clips: Path, command: Called) -> None:
    found, _, err = command("pack", *words)
    assert (found, told in err) == (code, True), err


def test_a_place_with_another_pack_is_left_alone(clips: Path, tmp_path: Path, command: Called) -> None:
    assert command("pack", clips, "--out", "p")[0] == 0
    before = files(tmp_path / "p")
    code, _, err = command("pack", clips, "--out", "p", "--as", "pcm")
    assert code == 3
    assert "p holds a pack with other --as, --rate; type the command as then, or give another --out" in err
    clips.write_text(clips.read_text().replace("speaker0", "anna"))
    code, _, err = command("pack", clips, "--out", "p")
    assert code == 3
    assert "p holds a pack with other clips" in err
    assert files(tmp_path / "p") == before


def test_clips_that_cannot_be_used_are_named_mended_or_left_out(clips: Path, tmp_path: Path, command: Called) -> None:
    assert command("pack", clips, "--out", "whole")[0] == 0
    names = ("train-spoof-3.wav", "test-bona-fide-1.wav")
    kept = {name: (clips.parent / name).read_bytes() for name in names}
    (clips.parent / names[0]).write_bytes(kept[names[0]][:5000])
    (clips.parent / names[1]).unlink()
    code, _, err = command("pack", clips, "--out", "p")
    assert code == 3
    assert "2 of 48 clips cannot be used:" in err
    assert f"{names[1]}: no such file or directory" in err
    assert f"{names[0]}: truncated" in err
    assert not (tmp_path / "p" / "pack.json").exists()
    shutil.copytree("p", "less")
    code, out, _ = command("pack", clips, "--out", "less", "--skip")
    assert code == 0
    assert "note 2 clips that cannot be used are not in it" in out
    less, pack = packed("less")
    assert pack.listing.made["skipped"].keys() == set(names)
    assert "2 of 48 clips could not be used and are not in the pack" in less.notes
    assert set(Manifest.read(clips).ids) - set(less.ids) == set(names)
    for name, data in kept.items():
        (clips.parent / name).write_bytes(data)
    assert command("pack", clips, "--out", "less", "--skip")[0] == 0
    code, _, err = command("pack", clips, "--out", "less")
    assert code == 3
    assert "less was packed with --skip: 2 clips are not in it; delete it or give another --out" in err
    assert command("pack", clips, "--out", "p")[0] == 0
    assert files(tmp_path / "p") == files(tmp_path / "whole")


def test_damage_is_found(clips: Path, tmp_path: Path, command: Called) -> None:
    assert command("pack", clips, "--out", "p")[0] == 0
    chunk = tmp_path / "p" / "val-00000.tar"
    data = bytearray(chunk.read_bytes())
    data[2000] ^= 1
    chunk.write_bytes(data)
    code, _, err = command("pack", "p", "--verify")
    assert code == 3
    assert "1 of 4 files are not as packed" in err
    assert "val-00000.tar" in err
    with shelf(tmp_path / "p") as server:
        code, _, err = command("pack", server.url, "--verify")
        assert code == 3
        assert "val-00000.tar" in err


def trained(home: Path, **data: Any) -> Path:
    """Train for two epochs; gives the run's folder."""
    values = {
        "data": {"batch_size": 8, **data},
        "frontend": {"name": "logmel", "crop_s": 0.5, "n_mels": 24},
        "model": {"name": "cnn", "channels": [4, 8]},
        "augment": {"name": "light"},
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
        "eval": {"resamples": 50},
        "runs": str(home),
    }
    return train(TrainConfig.read(values), SILENT).run.folder


def test_training_on_a_pack_is_training_on_its_files(clips: Path, command: Called, tmp_path: Path) -> None:
    """On a pack as it is, and by loader processes from a server on one of samples: the same scores, bit for bit."""
    for kind in ("as-is", "pcm"):
        assert command("pack", clips, "--out", kind, "--as", kind)[0] == 0
    loose = trained(tmp_path / "loose", name="manifest", path=str(clips))
    here = trained(tmp_path / "here", name="packed", path="as-is")
    with shelf(tmp_path / "pcm") as server:
        there = trained(tmp_path / "there", name="packed", path=server.url, workers=2)
        with shelf(tmp_path / "as-is") as other:  # each has room in the cache, and both have not
            parts = {
                it: {"name": "packed", "path": url, "cache": "c", "cache_gb": 1e-3}
                for it, url in (("a", server.url), ("b", other.url))
            }
            with pytest.raises(ConfigError, match=r"1 rank of this host .* data.parts.b.cache_gb=0.1"):
                trained(tmp_path / "both", name="mix", parts=parts)
    for run in (here, there):
        for table in ("val", "test"):
            assert (run / "scores" / f"{table}.csv").read_bytes() == (loose / "scores" / f"{table}.csv").read_bytes()
    moved = shutil.copytree("as-is", "moved")
    assert trained(tmp_path / "here", name="packed", path=str(moved)) == here  # where a pack lies is nothing to a run
