"""Which run a command takes where none is named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfad.commands.chosen import chosen
from dfad.errors import ConfigError


def made(folder: Path, name: str, second: int, *, finished: bool = True) -> Path:
    run = folder / name
    run.mkdir(parents=True)
    if finished:
        (run / "metrics.json").write_text("{}")
        os.utime(run / "metrics.json", (second, second))
    return run


def test_the_latest_finished_run_is_taken_and_named(tmp_path, capsys):
    made(tmp_path, "b-old", 1)
    latest = made(tmp_path, "a-new", 2)
    made(tmp_path, "c-running", 3, finished=False)
    assert chosen(None, tmp_path) == latest
    out = capsys.readouterr()
    assert str(latest) in out.err
    assert not out.out


def test_one_that_is_named_is_not_looked_for(tmp_path, capsys):
    assert chosen(tmp_path / "x.ckpt", tmp_path) == tmp_path / "x.ckpt"
    assert not capsys.readouterr().err


def test_without_any_it_says_how_to_get_one(tmp_path):
    made(tmp_path, "c-running", 3, finished=False)
    with pytest.raises(ConfigError, match="dfad train") as caught:
        chosen(None, tmp_path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("command", ["score", "serve", "export"])
def test_help_and_typos_do_not_wait_for_torch(command):
    wanted = "{'torch', 'lightning', 'hydra', 'matplotlib'} & set(sys.modules)"
    code = f"import sys, dfad.commands.{command}; print({wanted})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
