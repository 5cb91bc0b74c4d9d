"""What README and docs show is true: commands parse and compose, the example network builds, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from torch import nn

from dfad.__main__ import COMMANDS
from dfad.commands.door import CONF, as_addition
from dfad.frontends import FrontendKnobs, LogMelKnobs
from dfad.networks import NetworkKnobs
from dfad.networks.heads import Head, make_head
from tests.conftest import ROOT

PAGES = {path: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
BLOCKS = [block for text in PAGES.values() for block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.S | re.M)]
LINES = dict.fromkeys(
    line.split("  #")[0].split(" # ")[0].strip() for kind, block in BLOCKS if not kind for line in block.splitlines()
)
SCRIPTS = [line for line in LINES if re.match(r"(python (train|eval)\.py|dfad) ", line)]


def test_the_commands_are_found() -> None:
    assert len(SCRIPTS) >= 60


@pytest.mark.parametrize("line", SCRIPTS)
def test_a_command_composes(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "dfad":
        assert words[1] in COMMANDS
        return
    overrides = [as_addition(word) for word in words[2:] if not word.startswith("-")]  # as the commands do
    swept = OverridesParser.create().parse_overrides(overrides) if "-m" in words else []
    jobs = BasicSweeper.split_arguments(swept, None)[0] if swept else [overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for job in jobs:
            compose(Path(words[1]).stem, job)


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)`?", PAGES[ROOT / "README.md"]):
        assert f"\n{target}:" in makefile, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, section in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", PAGES[page]):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        heads = re.findall(r"^#+ (.*)", PAGES[there], re.M) if section else []
        assert not section or section in [head.lower().replace(" ", "-") for head in heads], section


def test_the_example_network_builds() -> None:
    (code,) = (block for kind, block in BLOCKS if kind == "python" and "NetworkKnobs" in block)
    from typing import Literal

    from pydantic import Field

    names = {"Literal": Literal, "Field": Field, "nn": nn, "FrontendKnobs": FrontendKnobs, "NetworkKnobs": NetworkKnobs}
    names |= {"Head": Head, "make_head": make_head}
    exec(compile(code, "networks.md", "exec", dont_inherit=True), names)
    frontend = LogMelKnobs()
    network = names["TinyKnobs"].read({"name": "tiny", "width": 4}).build(frontend)  # type: ignore[attr-defined]
    assert network(torch.zeros(3, 1, 80, 50)).shape == (3,)
