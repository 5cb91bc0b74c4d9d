"""The place of a pack, by what a user types."""

from __future__ import annotations

from pathlib import Path

from dfad.errors import ConfigError
from dfad.packs.buckets import SCHEMES, Bucket
from dfad.packs.stores import Folder, Where
from dfad.packs.web import Web


def where(address: str) -> Where:
    """The place of a pack by its folder or address.

    Raises:
        ConfigError: for an address of another kind, or if its library is not installed.
    """
    scheme, found, _ = address.partition("://")
    if not found:
        return Folder(Path(address))
    if scheme in ("http", "https"):
        return Web(address)
    if scheme in SCHEMES:
        return Bucket(address)
    raise ConfigError(f"{address}: expected a folder, or an address that begins with http, {', '.join(SCHEMES)}")
