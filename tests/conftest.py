"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder that holds `reference/` (golden values) and `corpus/`; tests that need it are skipped without it."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("DFAD_REFERENCE") or root.parent / "shared")
    if not (folder / "reference").is_dir():
        pytest.skip(f"no reference material: {folder / 'reference'} is missing; set DFAD_REFERENCE to its parent")
    return folder
