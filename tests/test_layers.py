"""Who may import whom: imports point down the list of layers, and heavy frameworks stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

LAYERS = [
    {"errors"},
    {"knobs", "draws", "tls", "wrong_rows", "columns", "table_files", "places", "dealing", "stored", "cores"},
    {"labels", "roots", "wav", "connection"},
    {"clips", "decoders"},
    {"audio", "download", "packed"},
    {"scores", "extract", "packs"},
    {"metrics", "effects", "frontends", "score_files"},
    {"networks", "augment", "corpora", "calibrate", "scoring"},
    {"deployed", "prepared", "fusing", "graphs"},
    {"checkpoint", "evaluation", "portable"},
    {"scorer"},
    {"losses"},
    {"audit", "robustness", "explain", "export"},
    {"report", "serve", "training"},
    {"search"},
    {"commands"},
    {"__main__"},
]
LEVEL = {module: level for level, layer in enumerate(LAYERS) for module in layer}
ONLY_IN = {
    "lightning": {"training"},
    "hydra": {"commands"},
    "omegaconf": {"commands"},
    "wandb": {"training"},
    "optuna": {"search", "commands"},  # of the commands: whether it is there
    "sqlalchemy": {"search"},
    "typer": {"commands"},
    "rich": {"training", "commands"},
    "matplotlib": {"report"},
    "soundfile": {"decoders", "corpora", "report", "effects"},  # of the effects only the codecs
    "av": {"decoders", "effects"},
    "cryptography": {"tls"},
    "obstore": {"packs"},
    "transformers": {"networks"},
    "huggingface_hub": {"networks"},
    "safetensors": {"networks", "portable"},
    "onnx": {"export"},
    "onnxruntime": {"graphs"},
    "sklearn": {"audit"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
}
FILES = [path for path in (ROOT / "dfad").rglob("*.py") if path != ROOT / "dfad" / "__init__.py"]


def room(path: Path) -> str:
    """The module or package directly below dfad/ that a file belongs to."""
    return path.relative_to(ROOT / "dfad").with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    for name in imported(path):
        if name.startswith("dfad."):
            there = name.split(".")[1]
            assert there == here or LEVEL.get(there, -1) < LEVEL[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_frameworks_stay_where_they_belong(path: Path) -> None:
    for name in imported(path):
        allowed = ONLY_IN.get(name.split(".")[0])
        assert allowed is None or room(path) in allowed, f"{room(path)} imports {name}"
    if "torchaudio.transforms" in imported(path):
        assert room(path) == "frontends"


def test_every_module_has_its_layer() -> None:
    assert {room(path) for path in FILES} == set(LEVEL)


def test_dfad_imports_no_framework_of_training() -> None:
    code = "import dfad, sys; print({'lightning', 'hydra', 'omegaconf', 'wandb', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
