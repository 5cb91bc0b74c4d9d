"""Packs: corpora in large files, on a disk, behind a web server or in an object store, from which clips are read.

A pack is a folder, or what stands for one elsewhere:

    pack.json            the format's number, how it was made, and each file's bytes and SHA-256
    clips.parquet        the manifest, and of each clip in which chunk, where and how long its audio file is
    train-00000.tar …    chunks: audio files one after the other, in an archive that any tool unpacks

Nothing here decides which clip comes when. `format` says what the files are, `stores`, `web` and `buckets` where
they lie, and `cache` which of them are on this machine; `pack` gives a clip's bytes.
"""

from dfad.packs.pack import Pack, open_pack
from dfad.packs.where import where

__all__ = ["Pack", "open_pack", "where"]
