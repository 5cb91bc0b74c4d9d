"""Trained on × tested on, from folders written by hand: what counts, how corpora are called, what is shown."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from dfad.commands.matrix import FILL, main
from dfad.report.cross import OLD, UNFINISHED, cross, read_cross
from tests.conftest import ROOT
from tests.test_board import write_run

Shown = Callable[..., tuple[int, str, str]]


def write_eval(
    run: Path,
    name: str,
    eer: float | None,
    split: str = "test",
    *,
    checkpoint: str = "best",
    note: str = "",
    **data: Any,
) -> Path:
    folder = run / "evals" / f"{name}-{len(list(run.glob('evals/*'))):08}"
    folder.mkdir(parents=True)
    config = {
        "run": str(run),
        "checkpoint": str(run / "checkpoints" / f"{checkpoint}.ckpt"),
        "data": {"name": name, "path": f"data/{name}", "hold_out": None, **data},
        "split": split,
        "eval": {},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    values = {f"{split}/eer": eer, f"{split}/cllr": 0.5}
    (folder / "metrics.json").write_text(json.dumps({"format": 1, "values": values, "notes": [note] if note else []}))
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on one corpus, one on another; each is scored on the other's and on clips of somebody's own."""
    home = tmp_path_factory.mktemp("written") / "runs"
    for seed, (own, rerec, mine) in enumerate([(0.1, 0.3, 0.2), (0.2, 0.5, None)]):
        run = write_run(home, f"two{seed}", {"test/eer": own}, "data=for_2sec", f"seed={seed}")
        write_eval(run, "for_rerec", rerec)
        if mine:
            write_eval(run, "manifest", mine, "all", path="here/mine.csv")
    write_run(home, "rerec0", {"test/eer": 0.05, "test/eer/A07": 0.5}, "data=for_rerec")
    write_run(home, "open", None, "data=for_norm")
    write_eval(home / "open", "for_rerec", 0.9)
    return home


@pytest.fixture
def home(written: Path, tmp_path: Path) -> Path:
    """Those runs, for one test to change."""
    return Path(shutil.copytree(written, tmp_path / "runs"))


@pytest.fixture
def shown(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    """Call `dfad matrix` in this process; gives exit code, stdout and stderr."""

    def call(*words: str, folder: Path = home) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dfad matrix", str(folder), *words])
        with pytest.raises(SystemExit) as leave:
            main()
        said = capsys.readouterr()
        return int(leave.value.code or 0), said.out, said.err

    return call


def read(home: Path, metric: str = "eer") -> list[tuple[Any, ...]]:
    table = read_cross(sorted(home.iterdir()), metric)
    return [tuple(row) for row in table[["run", "trained_on", "tested_on", "split", "value"]].to_numpy()]


def called(*evaluations: dict[str, Any], home: Path) -> list[str]:
    """The names of the corpora that one run is scored on."""
    run = write_run(home, "r", {"test/eer": 0.1}, "data=demo")
    for data in evaluations:
        write_eval(run, **{"name": "manifest", "eer": 0.2, **data})
    return sorted(set(read_cross([run])["tested_on"]) - {"demo"})


# what is read


def test_the_long_table(home: Path) -> None:
    table = read_cross(sorted(home.iterdir()))
    assert list(table.columns) == ["run", "model", "trained_on", "tested_on", "split", "seed", "value", "error"]
    assert sorted(read(home)) == [
        ("rerec0", "for_rerec", "for_rerec", "test", 0.05),
        ("two0", "for_2sec", "for_2sec", "test", 0.1),
        ("two0", "for_2sec", "for_rerec", "test", 0.3),
        ("two0", "for_2sec", "mine", "all", 0.2),
        ("two1", "for_2sec", "for_2sec", "test", 0.2),
        ("two1", "for_2sec", "for_rerec", "test", 0.5),
    ]
    assert table["seed"].tolist().count(1) == 2
    assert set(table["model"]) == {"cnn"}


def test_another_metric(home: Path) -> None:
    values = {row[:3]: row[4] for row in read(home, "cllr")}
    assert values[("two0", "for_2sec", "for_rerec")] == 0.5
    assert np.isnan(values[("two0", "for_2sec", "for_2sec")])


def test_the_matrix(home: Path) -> None:
    found = cross(read_cross(sorted(home.iterdir())))
    assert found.rows == ["for_2sec", "for_rerec"]
    assert found.columns == ["for_2sec", "for_rerec", "mine (all)"]
    np.testing.assert_allclose(found.means, [[0.15, 0.4, 0.2], [np.nan, 0.05, np.nan]])
    assert found.sds[0, 0] == pytest.approx(statistics.stdev([0.1, 0.2]))
    assert np.isnan(found.sds[0, 2])
    assert np.isnan(found.sds[1]).all()
    np.testing.assert_array_equal(found.own, [[True, False, False], [False, True, False]])
    assert found.runs == {"for_2sec": ["two0", "two1"], "for_rerec": ["rerec0"]}


def test_models_have_rows_of_their_own_where_they_differ(home: Path) -> None:
    write_run(home, "vgg", {"test/eer": 0.1}, "data=for_rerec", "model=vgg16")
    assert cross(read_cross(sorted(home.iterdir()))).rows == ["for_2sec, cnn", "for_rerec, cnn", "for_rerec, vgg16"]


def test_the_own_result_goes_before_an_evaluation_and_a_newer_one_before_an_older(home: Path) -> None:
    run = home / "rerec0"
    write_eval(run, "for_rerec", 0.99)
    for age, eer in ((0, 0.1), (50, 0.2), (99, 0.3)):
        path = write_eval(run, "for_norm", eer) / "metrics.json"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    found = {row[2]: row[4] for row in read(home) if row[0] == "rerec0"}
    assert found == {"for_rerec": 0.05, "for_norm": 0.1}


def test_only_the_best_weights_of_a_finished_run_count(home: Path) -> None:
    write_eval(home / "rerec0", "for_norm", 0.1, checkpoint="last")
    write_eval(home / "rerec0", "for_2sec", 0.1, note=f"{UNFINISHED}: its best checkpoint so far was scored")
    assert [row[2] for row in read(home) if row[0] in ("rerec0", "open")] == ["for_rerec"]


def test_the_note_is_the_one_that_an_evaluation_writes() -> None:
    assert f'"{UNFINISHED}: ' in (ROOT / "dfad" / "training" / "evaluation.py").read_text()


def test_what_cannot_be_read_is_told_and_hides_nothing(home: Path, shown: Shown) -> None:
    run = home / "rerec0"
    (write_eval(run, "for_norm", 0.1) / "config.yaml").unlink()
    (write_eval(run, "for_norm", 0.1) / "config.yaml").write_text("a: [")
    (write_eval(run, "for_norm", 0.1) / "config.yaml").write_text("split: test")
    (write_eval(run, "for_norm", 0.1) / "metrics.json").write_text('{"notes": []}')
    (write_eval(run, "for_norm", 0.1) / "metrics.json").unlink()  # not finished: nothing to tell
    (home / "two1" / "metrics.json").write_text("{}")
    table = read_cross(sorted(home.iterdir()))
    assert len(table[table["error"].notna()]) == 5
    assert set(table["run"][table["error"].isna()]) == {"two0", "rerec0"}
    code, out, err = shown()
    assert code == 0
    assert "for_2sec" in out
    assert f"evals/for_norm-00000000: {OLD}" in err
    assert "no 'data' in it" in err
    assert "two1: metrics.json is damaged" in err


# what corpora are called


def test_a_corpus_of_ones_own_is_called_like_its_file_or_folder(tmp_path: Path) -> None:
    found = called({"path": "a/mine.csv"}, {"name": "folder", "path": "b/clips.v1"}, home=tmp_path)
    assert found == ["clips.v1", "mine"]


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    same = called({"path": "a/x.csv"}, {"path": os.path.abspath("a/x.csv")}, home=tmp_path / "1")  # noqa: PTH100
    assert same == ["x"]
    assert called({"path": "a/x.csv"}, {"path": "b/x.csv"}, {"path": "c.csv"}, home=tmp_path / "2") == [
        "a/x",
        "b/x",
        "c",
    ]
    assert called({"path": "/a/demo.csv"}, home=tmp_path / "3") == ["a/demo"]
    both = called({"path": "/x/a.csv"}, {"path": "/x/a.parquet"}, home=tmp_path / "4")
    assert both == ["/x/a.csv", "/x/a.parquet"]


def test_what_was_held_out_is_part_of_the_name(tmp_path: Path) -> None:
    found = called({"path": "m.csv"}, {"path": "m.csv", "hold_out": "room:a"}, home=tmp_path)
    assert found == ["m", "m, held out room:a"]
    assert called({"name": "demo", "seed": 1}, {"name": "demo", "seed": 0}, home=tmp_path / "1") == ["demo (seed 1)"]


# the command


def test_the_table_on_the_screen(shown: Shown) -> None:
    code, out, err = shown()
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[1] == ["for_2sec", "for_rerec", "mine", "(all)"]
    assert " ".join(lines[2]) == "for_2sec 0.1500 ± 0.0707 * 0.4000 ± 0.1414 0.2000"
    assert " ".join(lines[3]) == "for_rerec – 0.0500 * –"
    assert "trained on" in out
    assert FILL not in out


def test_it_says_how_to_fill_itself(shown: Shown) -> None:
    assert FILL in shown("--where", "data=for_rerec")[1]
    assert FILL in " ".join(shown("--help")[1].replace("│", "").split())


def test_where_chooses_runs(shown: Shown) -> None:
    _, out, _ = shown("--where", "seed=1")
    assert "0.2000 *" in out
    assert "mine" not in out
    assert "no such finished runs" in shown("--where", "data=for_norm")[1]


def test_runs_that_differ_in_more_than_the_seed_are_told(home: Path, shown: Shown) -> None:
    write_run(home, "other", {"test/eer": 0.1}, "data=for_2sec", "model.lr=0.5", "seed=7")
    assert "the runs trained on for_2sec differ in model.lr too; choose some: --where model.lr=…" in shown()[2]


def test_for_programs_nothing_is_rounded(shown: Shown) -> None:
    rows = json.loads(shown("--json")[1])
    assert len(rows) == 6
    assert "error" not in rows[0]
    assert {row["value"] for row in rows if row["tested_on"] == "for_rerec"} == {0.05, 0.3, 0.5}
    table = list(csv.DictReader(io.StringIO(shown("--csv")[1])))
    assert [row["run"] for row in table] == [row["run"] for row in rows]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--metric", "err"], "--metric err: no run has it; did you mean 'eer'?"),
        (["--where", "modle=cnn"], "did you mean 'model'?"),
        (["--out", "m.jpg"], "give a name that ends in .png"),
        (["--csv", "--json"], "choose one"),
    ],
)
def test_wrong_words_are_answered(words: list[str], answer: str, shown: Shown) -> None:
    code, out, err = shown(*words)
    assert (code, out) == (2, "")
    assert answer in " ".join(err.split())


def test_no_runs(tmp_path: Path, shown: Shown) -> None:
    (tmp_path / "empty").mkdir()
    code, out, _ = shown(folder=tmp_path / "empty")
    assert (code, out) == (0, f"no runs in {tmp_path / 'empty'} yet\n")
    assert shown("--json", folder=tmp_path / "empty")[1] == "[]\n"


def test_the_picture_is_drawn_of_the_same_cells(
    home: Path, shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def draw(
        values: np.ndarray,
        rows: Sequence[str],
        columns: Sequence[str],
        *,
        metric: str = "EER",
        text: Sequence[Sequence[str]] | None = None,
    ) -> Figure:
        given.update(values=values, rows=rows, columns=columns, metric=metric, text=text)
        return Figure()

    groups = ModuleType("dfad.report.groups")
    groups.matrix = draw  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dfad.report.groups", groups)
    code, _, err = shown("--out", str(tmp_path / "new" / "m.png"))
    assert code == 0, err
    assert (tmp_path / "new" / "m.png").read_bytes().startswith(b"\x89PNG")
    assert (given["rows"], given["columns"][2], given["metric"]) == (["for_2sec", "for_rerec"], "mine (all)", "EER (%)")
    assert given["text"] == [["15.0 ± 7.1", "40.0 ± 14.1", "20.0"], ["–", "5.0", "–"]]
    np.testing.assert_allclose(given["values"][0], [0.15, 0.4, 0.2])
    assert shown("--metric", "cllr", "--out", str(tmp_path / "c.png"))[0] == 0
    assert given["text"][0][1] == "0.500 ± 0.000"
    code, _, err = shown("--out", "/proc/nope/m.png")
    assert (code, "cannot write /proc/nope/m.png" in err) == (2, True)


def test_the_command_as_a_process(home: Path) -> None:
    words = [sys.executable, "-m", "dfad", "matrix", str(home)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "0.1500 ± 0.0707 *" in done.stdout


def test_the_matrix_needs_no_framework() -> None:
    code = (
        "import sys, dfad.commands.matrix; "
        "print({'torch', 'lightning', 'matplotlib', 'hydra', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
