"""The table of all runs, on run folders written by hand: what it shows, chooses and never drops."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from scipy.stats import t as student_t

from dfad.commands.runs import main
from dfad.knobs import Knobs, Named, knobs_in
from dfad.report.board import FREE, differing, is_free, read_board, run_folders
from dfad.report.over import other_clips, over_seeds, over_values
from dfad.training.config import TrainConfig
from tests.conftest import ROOT
from tests.test_config import composed

Shown = Callable[..., tuple[int, str, str]]
CLLR = {("0.01", 0): 0.5, ("0.01", 1): 0.3, ("0.002", 0): 0.2, ("0.002", 1): 0.25}


def write_run(home: Path, name: str, values: dict[str, float | None] | None, *words: str, error: str = "") -> Path:
    folder = home / name
    folder.mkdir(parents=True)
    config = TrainConfig.read(composed("train", *words)).plain()
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "manifest.json").write_text(json.dumps({"digest": "0123456789abcdef"}))
    (folder / "curves.csv").write_text("epoch,lr\n0,1\n1,1\n")
    if values is not None:
        (folder / "metrics.json").write_text(json.dumps({"format": 1, "values": values, "notes": []}))
    if error:
        (folder / "error.txt").write_text(error)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four finished runs, two learning rates with two seeds, and one of each other status."""
    home = tmp_path_factory.mktemp("home") / "runs"
    for (lr, seed), cllr in CLLR.items():
        values = {"val/cllr": cllr, "val/eer": cllr / 3, "test/eer": 1 - cllr, "test/eer/A07": None}
        free = f"runs=there{seed}"  # where it lay must not tell configurations apart
        write_run(home, f"cnn-logmel-demo-{lr[2:]}{seed}", values, f"model.lr={lr}", f"seed={seed}", free)
    write_run(home, "cnn-lfcc-demo-failed", None, "frontend=lfcc", "augment=none", error="training diverged\nmore")
    write_run(home, "cnn-logmel-demo-open", None, "model.channels=[4,8]")
    (home / "notes").mkdir()
    (home / ".sweeps").mkdir()
    (home / "a file").touch()
    return home


@pytest.fixture
def shown(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    """Call `dfad runs` in this process; gives exit code, stdout and stderr."""

    def call(*words: str, folder: Path = home) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dfad runs", str(folder), *words])
        with pytest.raises(SystemExit) as leave:
            main()
        said = capsys.readouterr()
        return int(leave.value.code or 0), said.out, said.err

    return call


def names(out: str) -> list[str]:
    return [line.split()[0].removeprefix("cnn-logmel-demo-") for line in out.splitlines()[1:] if line.startswith("cnn")]


def test_the_table_shows_every_folder_and_names_the_damaged_ones(shown: Shown) -> None:
    code, out, err = shown()
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split()[:2] == ["run", "status"]
    assert lines[0].split()[-3:] == ["val/cllr", "val/eer", "test/eer"]
    assert [line.split()[0].rsplit("-", 1)[1] for line in lines[1:5]] == ["0020", "0021", "011", "010"]
    assert {line.split()[1] for line in lines[5:8]} == {"failed", "unfinished", "damaged"}
    assert "1 of 7 folders cannot be read" in err
    assert "notes: no config.yaml" in err
    assert all(len(line) <= 120 for line in lines[:8])
    assert not any("there0" in line for line in lines)


def test_the_facts_of_a_run(home: Path) -> None:
    row = read_board([home / "cnn-logmel-demo-010"]).iloc[0]
    assert (row["run"], row["status"], row["epochs"], row["clips"]) == (
        "cnn-logmel-demo-010",
        "finished",
        2,
        "01234567",
    )
    assert (row["model"], row["frontend"], row["data"], row["seed"]) == ("cnn", "logmel", "demo", 0)
    assert (row["model.lr"], row["model.channels"], row["val/eer"]) == (0.01, "[16,32,64,64]", 0.5 / 3)
    assert row["test/eer/A07"] != row["test/eer/A07"]  # null is no number
    assert read_board([home / "cnn-lfcc-demo-failed"]).iloc[0]["error"] == "training diverged"


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (["seed=1"], ["0021", "011"]),
        (["seed!=1", "status=finished"], ["0020", "010"]),
        (["model.lr=1e-2"], ["011", "010"]),
        (["model.lr=0.010"], ["011", "010"]),
        (["model.lr<0.01", "val/cllr>=0.25"], ["0021"]),
        (["val/eer<0.09"], ["0020", "0021"]),
        (["val/eer > 0.1"], ["010"]),
        (["val/cllr<=0.2"], ["0020"]),
        (["model.channels=[4, 8]"], ["open"]),
        (["trainer.patience=null", "status=unfinished"], ["open"]),
        (["model.channels_last=false"], []),
        (["run=cnn-logmel-demo-010"], ["010"]),
    ],
)
def test_where_chooses(condition: list[str], found: list[str], shown: Shown) -> None:
    code, out, err = shown(*(word for one in condition for word in ("--where", one)))
    assert code == 0, err
    assert names(out) == found
    assert found or "no such runs" in out


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--where", "modle=cnn"], "no key 'modle' in these runs; did you mean 'model'?"),
        (["--where", "lr=1"], "did you mean 'model.lr'?"),
        (["--sort", "val/err"], "did you mean 'val/eer'?"),
        (["--columns", "run,sed"], "did you mean 'seed'?"),
        (["--where", "status=done"], "no such status; choose from: damaged, failed, finished"),
        (["--where", "cnn"], "not understood; write it as model=cnn"),
        (["--where", "model<cnn"], "'cnn' is no number; text is compared by = and !="),
        (["--csv", "--json"], "choose one"),
        (["--over"], "--over-seeds"),
    ],
)
def test_wrong_words_are_answered(words: list[str], answer: str, shown: Shown) -> None:
    code, out, err = shown(*words)
    assert (code, out) == (2, "")
    assert answer in " ".join(err.split())


def test_sorting_goes_both_ways_and_the_missing_come_last(shown: Shown) -> None:
    found = {word: names(shown("--sort", word)[1]) for word in ("test/eer", "-test/eer", "-run")}
    assert found["test/eer"][:4] == ["010", "011", "0021", "0020"]
    assert found["-test/eer"][:4] == ["0020", "0021", "011", "010"]
    assert found["-run"][0] == "open"
    assert "… and 5 more" in shown("--limit", "2")[1]
    assert names(shown("--limit", "2")[1]) == ["0020", "0021"]


def test_columns_are_those_that_are_named(shown: Shown) -> None:
    _, out, _ = shown("--columns", "seed,model.lr,run", "--where", "status=finished")
    assert out.splitlines()[0].split() == ["seed", "model.lr", "run"]
    assert out.splitlines()[1].split() == ["0", "0.002", "cnn-logmel-demo-0020"]


def test_means_over_seeds(home: Path, shown: Shown) -> None:
    table = over_seeds(read_board(run_folders(home))).set_index("model.lr")
    assert list(table["seeds"]) == [2, 2]
    for lr, pair in ((0.01, (0.5, 0.3)), (0.002, (0.2, 0.25))):
        assert table.loc[lr, "val/cllr"] == pytest.approx(statistics.mean(pair))
        assert table.loc[lr, "val/cllr sd"] == pytest.approx(statistics.stdev(pair))
    code, out, err = shown("--over-seeds")
    assert code == 0
    assert out.splitlines()[0].split() == ["model.lr", "seeds", "val/cllr", "val/eer", "test/eer"]
    assert out.splitlines()[1].startswith("0.002") and "0.2250 ± 0.0354" in out.splitlines()[1]  # noqa: PT018
    assert "3 runs are not finished, and not in the means" in err
    _, out, _ = shown("--over-seeds", "--where", "seed=0")
    assert "±" not in out
    assert "0.2000" in out
    assert "no such runs" in shown("--over-seeds", "--where", "status=failed")[1]


def test_csv_and_json_are_whole_and_unrounded(shown: Shown) -> None:
    code, out, _ = shown("--json")
    rows = json.loads(out)
    assert code == 0
    assert len(rows) == 7
    assert rows[0]["val/eer"] == 0.2 / 3
    assert rows[0]["test/eer/A07"] is None
    assert rows[-1]["status"] == "damaged" or "damaged" in {row["status"] for row in rows}
    table = list(csv.DictReader(io.StringIO(shown("--csv")[1])))
    assert [row["run"] for row in table] == [row["run"] for row in rows]
    assert float(table[0]["val/eer"]) == 0.2 / 3
    assert table[0]["seed"] == "0"
    assert json.loads(shown("--json", "--where", "seed=9")[1]) == []
    assert json.loads(shown("--json", "--columns", "run", "--limit", "1")[1]) == [{"run": "cnn-logmel-demo-0020"}]


def test_damage_of_every_kind_is_told_and_hides_nothing(home: Path, tmp_path: Path) -> None:
    def damage(name: str, file: str, content: bytes) -> None:
        (write_run(tmp_path, name, {"val/cllr": 0.1}) / file).write_bytes(content)

    damage("yaml", "config.yaml", b"a: [")
    damage("text", "config.yaml", b"hello")
    damage("tag", "config.yaml", b"a: !!python/object/apply:os.system [true]")
    damage("binary", "config.yaml", b"\xff\xfe\x00")
    damage("json", "metrics.json", b'{"values": {"val')
    damage("values", "metrics.json", b'{"values": 3}')
    damage("word", "metrics.json", b'{"values": {"val/cllr": "much"}}')
    damage("curves", "curves.csv", b"")
    (tmp_path / "whole").symlink_to(home / "cnn-logmel-demo-010")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    board = read_board(run_folders(tmp_path)).set_index("run")
    assert set(board.index[board["status"] == "damaged"]) == {"yaml", "text", "tag", "binary", "json", "values"}
    assert board["error"][board["status"] == "damaged"].map(bool).all()
    assert board.loc["curves", "epochs"] == 0
    assert board.loc["whole", "val/cllr"] == 0.5


def test_a_run_that_goes_on_is_seen_by_its_lock(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "r", None, error="from before")
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert read_board([folder])["status"].tolist() == ["running"]
    assert read_board([folder])["status"].tolist() == ["failed"]


def test_no_runs_and_no_folder(tmp_path: Path, home: Path, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, Path("runs")):
        for words in ((), ("--over-seeds",)):
            code, out, _ = shown(*words, folder=folder)
            assert (code, out) == (0, f"no runs in {folder} yet; python train.py makes one\n")
    assert shown("--json", folder=tmp_path)[1] == "[]\n"
    code, _, err = shown(folder=tmp_path / "none")
    assert (code, "no folder" in err) == (2, True)
    code, _, err = shown(folder=home / "cnn-logmel-demo-010")
    assert (code, "is one run; give" in err) == (2, True)


def test_what_cannot_change_numbers_is_known_here_too() -> None:
    def walk(at: str, kind: type[Knobs]) -> None:
        for name, field in kind.model_fields.items():
            key = f"{at}.{name}".strip(".").removesuffix(".name")
            free = any(type(mark).__name__ == "_Free" for mark in field.metadata)
            if name != "name" or free:
                marked[key] = marked.get(key, free) and free
            tables = [mark.table for mark in field.metadata if isinstance(mark, Named)]
            if not free:
                for inner in [*(k for table in tables for k in table.values())] or knobs_in(field.annotation):
                    walk(key, inner)

    marked: dict[str, bool] = {}
    walk("", TrainConfig)
    free = {key for key, mark in marked.items() if mark}
    assert free <= set(FREE)
    assert [is_free(name) for name in ("eval.threshold", "logger.project", "model.lr")] == [True, True, False]
    assert not {key for key, mark in marked.items() if not mark and key != "augment"} & set(FREE)


def test_the_options_that_tell_runs_apart(home: Path) -> None:
    found = differing(read_board(run_folders(home)))
    assert found == ["frontend", "augment", "model.lr", "model.channels", "seed"]  # the rest follows from these
    done = [folder for folder in run_folders(home) if (folder / "metrics.json").is_file()]
    assert differing(read_board(done)) == ["model.lr", "seed"]


def test_the_command_as_a_process(home: Path) -> None:
    words = [sys.executable, "-m", "dfad", "runs", str(home), "--columns", "run", "--limit", "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["run", "cnn-logmel-demo-0020", "…", "and", "6", "more"]


def test_the_board_needs_no_framework() -> None:
    code = (
        "import sys, dfad.report.board, dfad.commands.runs; "
        "print({'torch', 'lightning', 'matplotlib', 'hydra', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"


# means over the values of an option

EER = {("a", 0): 0.1, ("a", 1): 0.2, ("b", 0): 0.4, ("b", 1): 0.5, ("c", 0): 0.05}


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run per group that is held out and seed, each with clips of its own digest; one without, one unfinished."""
    home = tmp_path_factory.mktemp("held") / "runs"
    for (group, seed), eer in EER.items():
        values = {"val/cllr": eer, "val/eer": 0.25, "test/eer": eer, "test/n_bona_fide": 7.0, "test/n_spoof": 9.0}
        folder = write_run(home, f"{group}{seed}", values, f"data.hold_out=source_repo:{group}", f"seed={seed}")
        (folder / "manifest.json").write_text(json.dumps({"digest": f"{group * 8}"}))
    write_run(home, "none", {"val/cllr": 0.0, "val/eer": 0.0, "test/eer": 0.0})
    write_run(home, "open", None, "data.hold_out=source_repo:d")
    return home


def test_means_over_the_groups_that_were_held_out(held: Path) -> None:
    (row,) = over_values(read_board(run_folders(held)), "data.hold_out").to_dict("records")
    means = [0.15, 0.45, 0.05]
    assert (row["groups"], row["seeds"], row["model"]) == (3, "1–2", "cnn")
    assert row["test/eer"] == pytest.approx(statistics.mean(means))
    half = student_t.interval(0.95, 2, scale=statistics.stdev(means) / 3**0.5)[1]
    assert row["test/eer"] - half < 0 == row["test/eer low"]  # there is no such error rate
    assert row["test/eer high"] == pytest.approx(row["test/eer"] + half)
    assert (row["test/eer worst"], row["test/eer worst at"]) == (pytest.approx(0.45), "source_repo:b")
    assert (row["val/eer"], row["val/eer low"], row["val/eer high"]) == (0.25, 0.25, 0.25)
    assert "data.hold_out" not in row
    assert "seed" not in row


def test_a_single_value_has_no_interval(held: Path) -> None:
    board = read_board([held / "a0", held / "a1"])
    (row,) = over_values(board, "data.hold_out").to_dict("records")
    assert (row["groups"], row["seeds"]) == (1, "2")
    assert row["test/eer"] == row["test/eer worst"] == pytest.approx(0.15)
    assert row["test/eer low"] != row["test/eer low"]


def test_configurations_have_rows_of_their_own(held: Path, tmp_path: Path) -> None:
    more = []
    for number, words in enumerate((["model.lr=0.1"], ["data.path=elsewhere"], ["augment=none"], ["model=vgg16"])):
        for group, eer in (("a", 0.1), ("b", None)):
            words_of_run = [f"data.hold_out=source_repo:{group}", *words]
            more.append(write_run(tmp_path, f"{number}{group}", {"test/eer": eer}, *words_of_run))
    table = over_values(read_board([*run_folders(held), *more]), "data.hold_out")
    assert table["groups"].tolist() == [3, 2, 2, 2, 2]
    assert table["test/eer"].isna().tolist() == [False, True, True, True, True]  # a mean that leaves one out is none
    assert table["test/eer worst"].tolist()[1:] == [0.1] * 4
    plain = [write_run(tmp_path, f"p{model}", {"test/eer": 0.1}, f"model={model}") for model in ("cnn", "vgg16")]
    assert over_values(read_board(plain), "model")["groups"].tolist() == [2]  # what follows from it tells nothing
    assert over_values(read_board(run_folders(held)), "seed")["groups"].tolist() == [2, 2, 1, 1]


def test_other_clips_of_the_same_group_are_noticed(held: Path) -> None:
    assert other_clips(read_board(run_folders(held)), "data.hold_out") == []
    before = (held / "b1" / "manifest.json").read_text()
    (held / "b1" / "manifest.json").write_text(json.dumps({"digest": "changed!"}))
    assert other_clips(read_board(run_folders(held)), "data.hold_out") == ["source_repo:b"]
    (held / "b1" / "manifest.json").write_text(before)


def test_the_table_by_groups(held: Path, shown: Shown) -> None:
    code, out, err = shown("--by", "hold_out", folder=held)
    assert code == 0
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0].split() == ["groups", "seeds", "test/eer", "test/eer", "worst"]
    assert lines[1].split()[:3] == ["3", "1–2", "0.2167"]
    assert lines[1].endswith("0.4500 (source_repo:b)")
    assert "[0.0000, 0.7338]" in lines[1]
    assert lines[2] == ""
    assert lines[3].split() == ["data.hold_out", "seeds", "test/eer", "test", "clips"]
    assert lines[4].split() == ["source_repo:b", "2", "0.4500", "±", "0.0707", "7", "+", "9"]
    assert [line.split()[0][-1] for line in lines[4:]] == ["b", "a", "c"]
    assert "1 runs are not finished" in err
    assert "1 finished runs have no data.hold_out" in err
    assert "changed" not in err
    assert shown("--by", "data.hold_out", folder=held)[1] == out


def test_the_table_by_groups_for_programs(held: Path, shown: Shown) -> None:
    (row,) = json.loads(shown("--by", "hold_out", "--json", folder=held)[1])
    assert row["test/eer worst at"] == "source_repo:b"
    assert row["test/eer"] == pytest.approx(0.65 / 3, abs=1e-15)
    (line,) = csv.DictReader(io.StringIO(shown("--by", "hold_out", "--csv", folder=held)[1]))
    assert float(line["test/eer high"]) == row["test/eer high"]
    out = shown("--by", "hold_out", "--columns", "seeds,val/eer", folder=held)[1]
    assert out.splitlines()[1].split() == ["1–2", "0.2500", "[0.2500,", "0.2500]"]
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        (["--by", "hold_outs"], 2, "no key 'hold_outs' in these runs"),
        (["--by", "extra"], 0, ""),
        (["--by", "clips"], 2, "clips is no option"),
        (["--by", "test/eer"], 2, "test/eer is no option"),
        (["--by", "dropout"], 0, ""),
        (["--by", "p"], 2, "p may be augment."),
        (["--by", "hold_out", "--over-seeds"], 2, "choose one"),
        (["--by", "hold_out", "--where", "run=none"], 0, "no such runs"),
        (["--by", "hold_out", "--where", "run=nobody"], 0, "no such runs"),
    ],
)
def test_words_after_by(words: list[str], code: int, answer: str, held: Path, shown: Shown) -> None:
    found, out, err = shown(*words, folder=held)
    assert found == code, err
    assert answer in " ".join((out + err).split())


def test_nothing_to_take_means_of(tmp_path: Path, shown: Shown) -> None:
    assert "no runs in" in shown("--by", "hold_out", folder=tmp_path)[1]
    assert shown("--by", "hold_out", "--json", folder=tmp_path)[1] == "[]\n"
