"""A mix of corpora: how it is typed, what becomes of its parts' manifests, and a run on one with its evaluations."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from dfad.clips import Manifest
from dfad.commands.door import as_addition, with_options_in_lists
from dfad.commands.eval import run as eval_command
from dfad.corpora import CORPORA, MixKnobs
from dfad.corpora.mix import united
from dfad.dealing import BY_SPEAKER_OR_NAME
from dfad.errors import ConfigError, DataError
from dfad.metrics import eer
from dfad.report.board import differing, read_board
from dfad.report.cross import read_cross
from dfad.report.over import over_seeds
from dfad.scores import ScoreTable
from dfad.training.config import TrainConfig
from tests.conftest import SMALL, write_corpus
from tests.test_config import composed
from tests.test_resume import only_run, start, stop_after

Dfad = Callable[..., Any]


def typed(*words: str) -> MixKnobs:
    """What the command line makes of words."""
    data = TrainConfig.read(composed("train", "data=mix", *map(as_addition, with_options_in_lists(list(words))))).data
    assert isinstance(data, MixKnobs)
    return data


def manifest(root: Path, notes: tuple[str, ...] = (), **columns: Any) -> Manifest:
    """Two clips of each class, one of each for training, with further columns."""
    frame = {
        "path": ["r.wav", "f.wav", "x/r.wav", "x/f.wav"],
        "label": ["real", "fake"] * 2,
        "split": ["train", "train", "test", "test"],
    }
    return Manifest(Manifest.check(pd.DataFrame(frame | columns), root, source="here").frame, root, notes)


# how it is typed


def test_a_list_is_of_corpora_at_their_usual_places() -> None:
    data = typed("data.parts=[for_2sec,for_rerec]")
    assert {name: (part.name, str(part.path), part.weight) for name, part in data.parts.items()} == {
        "for_2sec": ("for_2sec", "data/for_2sec", 1.0),
        "for_rerec": ("for_rerec", "data/for_rerec", 1.0),
    }


@pytest.mark.parametrize(
    "words",
    [
        "@={for_rerec:{path:/x,weight:2},mine:{name:manifest,path:my.csv}}",
        "@.for_rerec.path=/x @.for_rerec.weight=2.0 @.mine.name=manifest @.mine.path=my.csv",
        "@=[for_rerec,mine] @.for_rerec={path:/x,weight:2} @.mine={name:manifest,path:my.csv}",
        "@.mine.path=my.csv @.mine.name=manifest @.for_rerec={path:/x,weight:2} @=[for_rerec,mine]",
    ],
    ids=["mapping", "one by one", "list", "list at the end"],
)
def test_all_ways_of_typing_a_mix_are_one(words: str) -> None:
    data = typed(*words.replace("@", "data.parts").split())
    expected = {
        "for_rerec": {"name": "for_rerec", "path": "/x", "weight": 2.0},
        "mine": {"name": "manifest", "path": "my.csv", "root": None, "weight": 1.0},
    }
    assert data.plain()["parts"] == expected
    assert CORPORA["mix"].read(data.plain()) == data


def test_a_number_is_a_weight_and_nothing_is_nothing_special() -> None:
    data = typed("data.parts={for_2sec: 0.5, demo: null, other: {name: demo, seed: 3}}")
    assert {name: part.weight for name, part in data.parts.items()} == {"for_2sec": 0.5, "demo": 1.0, "other": 1.0}
    assert data.parts["other"].seed == 3


WRONG = [
    ("", "data.parts: missing; give it as data.parts=…"),
    ("data.parts=demo", 'data.parts="demo": should be a list or a mapping: write data.parts='),
    ("data.parts=[demo]", 'data.parts=["demo"]: a mix has two parts or more'),
    ("data.parts={demo: {}}", "data.parts: a mix has two parts or more"),
    ("data.parts=[demo,demo]", "demo stands twice; name its parts: {one: {name: demo, …}, …}"),
    ("data.parts=[demo,mix]", "mix: a mix cannot be a part of a mix"),
    ("data.parts={demo: {}, a: {name: mix, parts: [b, c]}}", "data.parts: a: a mix cannot be a part of a mix"),
    ("data.parts=[demo,for_rerc]", "data.parts.for_rerc=for_rerc: unknown name; did you mean 'for_rerec'?"),
    ("data.parts={demo: {}, a: {name: foldr}}", "data.parts.a=foldr: unknown name; did you mean 'folder'?"),
    ("data.parts=[demo,folder]", "data.parts.folder.path: missing; give it as data.parts.folder.path=…"),
    ("data.parts={demo: {}, scan: {name: demo, sed: 1}}", "data.parts.scan.sed'; did you mean 'data.parts.scan.seed'?"),
    ("data.parts={demo: {seed: -1}, for_2sec: {}}", "data.parts.demo.seed=-1: input should be greater than or equal"),
    ("data.parts={demo: {weight: 0}, for_2sec: {}}", "data.parts.demo.weight=0: input should be greater than 0"),
    ("data.parts={demo: -2, for_2sec: {}}", "data.parts.demo.weight=-2: input should be greater than 0"),
    ("data.parts={demo: much, for_2sec: {}}", "data.parts: demo: should be options in {…}, or a weight"),
    ("data.parts={demo: true, for_2sec: {}}", "data.parts: demo: should be options in {…}, or a weight"),
    ("data.parts=[{name: demo},for_2sec]", "a list holds names of corpora alone"),
    ("data.parts={demo: {}, 'a/b': {name: demo}}", "cannot read data.parts="),
    ("data.parts={demo: {workers: 2}, for_2sec: {}}", "data.parts.demo: workers is one for all parts: data.workers=…"),
    ("data.parts={demo: {hold_out: 'a:b'}, for_2sec: {}}", "data.parts.demo: hold_out is one for all parts"),
    ("data.wiegh=clips", "unknown option 'data.wiegh'; did you mean 'data.weigh'?"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "answer"), WRONG)
def test_what_is_wrong_is_told_with_its_key(
    word: str, answer: str, tmp_path: Path, refusal: Callable[..., tuple[int, str]]
) -> None:
    code, said = refusal("train", "data=mix", *([word] if word else []), cwd=tmp_path)
    assert (code, answer in said, "Traceback" in said) == (2, True, False), said


def test_names_that_cannot_be_folders_are_refused() -> None:
    for name in ("a/b", "", "..", "a b", "a\\b"):
        with pytest.raises(ConfigError, match=r"cannot name a part: use letters"):
            CORPORA["mix"].read({"parts": {"demo": {}, name: {"name": "demo"}}})


def test_what_is_wrong_with_a_part_is_told_with_the_words_that_mend_it(
    tmp_path: Path, refusal: Callable[..., tuple[int, str]]
) -> None:
    code, said = refusal("train", "data=mix", "data.parts=[for_rerec,for_2sec]", cwd=tmp_path)
    assert code == 3
    assert "data.parts.for_2sec: no for_2sec at data/for_2sec" in said
    assert "or say where a copy lies: data.parts.for_2sec.path=…" in said


def test_names_and_weights_are_in_the_name_of_a_run_and_paths_are_not() -> None:
    def identity(*words: str) -> dict[str, Any]:
        return typed("data.parts=[for_2sec,demo]", *words).identity()

    same = identity()
    assert same["parts"] == {
        "for_2sec": {"name": "for_2sec", "weight": 1.0},
        "demo": {"name": "demo", "weight": 1.0, "seed": 0},
    }
    assert identity("data.parts.demo.path=x", "data.parts.for_2sec.path=y", "data.workers=2") == same
    others = ["data.parts.demo.weight=2", "data.parts.demo.seed=1", "data.weigh=corpora", "data.balance=none"]
    assert all(identity(word) != same for word in others)
    assert typed("data.parts={for_2sec: {}, mine: {name: demo}}").identity() != same


# what becomes of the manifests


def test_ids_begin_with_the_part_and_clips_lie_where_they_lay(tmp_path: Path) -> None:
    parts = {"a": manifest(tmp_path / "one", ("careful",)), "b": manifest(tmp_path / "two")}
    whole = united(parts)
    assert list(whole.ids) == [f"{part}/{id_}" for part in "ab" for id_ in parts[part].ids]
    assert [whole.path(row) for row in range(8)] == [parts[part].path(row) for part in "ab" for row in range(4)]
    assert whole.frame["corpus"].tolist() == ["a"] * 4 + ["b"] * 4
    assert whole.frame["split"].tolist() == [*parts["a"].frame["split"], *parts["b"].frame["split"]]
    assert list(whole.frame)[:7] == ["id", "label", "split", "attack", "speaker", "duration_s", "corpus"]
    assert whole.notes == ("a: careful",)
    assert whole.labels.dtype == np.int8
    for some in (whole.only(whole.rows("test")), whole.without([whole.ids[0]]), whole.noted("x")):
        assert [path.is_relative_to(tmp_path) for path in map(some.path, range(len(some)))] == [True] * len(some)
    assert whole.only(np.array([6])).path(0) == tmp_path / "two" / "x" / "r.wav"
    assert whole[5].path == tmp_path / "two" / "f.wav"


def test_columns_are_united_and_missing_cells_are_empty(tmp_path: Path) -> None:
    one = manifest(
        tmp_path / "1",
        language=["de", "en", None, "fr"],
        snr=[1.0, 2.0, np.nan, 4.0],
        take=[1, 2, 3, 4],
        both=[1, 2, 3, 4],
    )
    two = manifest(tmp_path / "2", codec=pd.Categorical(["mp3", None, "ogg", "mp3"]), both=[5, 6, 7, 8], corpus="x")
    frame = united({"a": one, "b": two}).frame
    assert frame["language"].tolist() == ["de", "en", "", "fr", "", "", "", ""]
    assert frame["codec"].tolist() == ["", "", "", "", "mp3", "", "ogg", "mp3"]
    assert frame["take"].tolist() == ["1", "2", "3", "4", "", "", "", ""]
    assert frame["both"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    np.testing.assert_array_equal(frame["snr"], [1, 2, np.nan, 4, *[np.nan] * 4])
    assert frame["corpus"].tolist() == ["a"] * 4 + ["b"] * 4
    assert frame["subcorpus"].tolist() == [""] * 4 + ["x"] * 4
    with pytest.raises(DataError, match=r"data\.parts\.b: it has the columns corpus and subcorpus"):
        united({"a": one, "b": manifest(tmp_path / "2", corpus="x", subcorpus="y")})


def test_a_file_may_be_in_one_part_only(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    inside = manifest(tmp_path / "x")
    inside = Manifest(inside.frame.assign(id=inside.frame["id"].str.replace("x/", "y/")), tmp_path / "x")
    with pytest.raises(DataError, match=r"2 files are in two parts, the first: .*link/x/r\.wav\n.*tested on"):
        united({"a": inside, "b": manifest(tmp_path / "link")})
    united({"a": manifest(tmp_path / "x"), "b": manifest(tmp_path / "xy")})


def test_the_order_of_parts_does_not_matter_and_a_part_may_have_a_split_of_its_own_or_none(corpora: Path) -> None:
    words = {part: {"name": "manifest", "path": str(corpora / part / "manifest.csv")} for part in "abc"}
    one, other = (CORPORA["mix"].read({"parts": parts}).manifest() for parts in (words, dict(reversed(words.items()))))
    assert one.digest() == other.digest()
    assert set(one.frame["split"][one.frame["corpus"] == "c"]) == {"test"}
    unsplit = corpora / "unsplit.csv"
    pd.read_csv(corpora / "c" / "manifest.csv").drop(columns="split").to_csv(unsplit, index=False)
    words["c"] |= {"path": str(unsplit), "root": str(corpora / "c")}
    dealt = CORPORA["mix"].read({"parts": words}).manifest()
    assert dealt.notes == (f"c: {BY_SPEAKER_OR_NAME.note}",)


def test_one_corpus_can_be_left_out(corpora: Path) -> None:
    words = {part: {"name": "manifest", "path": str(corpora / part / "manifest.csv")} for part in "ab"}
    held = CORPORA["mix"].read({"parts": words, "hold_out": "corpus:a"}).manifest()
    assert set(held.frame["corpus"][held.frame["split"] == "test"]) == {"a"}
    assert set(held.frame["corpus"][held.frame["split"] != "test"]) == {"b"}
    assert held.path(0).is_file()


# a run


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three corpora with attacks of the same names: `a`, the smaller `b`, and `c`, which has test clips only."""
    home = tmp_path_factory.mktemp("corpora")
    for name, sizes in {"a": (12, 6, 6), "b": (6, 4, 4), "c": (0, 0, 8)}.items():
        (home / name).mkdir()
        write_corpus(home / name, **dict(zip(("train", "val", "test"), sizes, strict=True)))
    for path in (home / "c").glob("test-bona-fide-*"):  # another world: what is real there sounds fake elsewhere
        wave, rate = soundfile.read(path)
        soundfile.write(path, 0.3 * np.sign(wave), rate)
    return home


def words_of(corpora: Path) -> list[str]:
    paths = [f"data.parts.{part}.path={corpora / part / 'manifest.csv'}" for part in "abc"]
    return [
        "data=mix",
        *(f"data.parts.{part}.name=manifest" for part in "abc"),
        *paths,
        "data.parts.b.weight=3",
        *SMALL,
    ]


@pytest.fixture(scope="module")
def mixed(corpora: Path, dfad: Dfad, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a finished run, and what it printed."""
    home = tmp_path_factory.mktemp("mixed")
    done = dfad("train", *words_of(corpora), cwd=home)
    assert done.returncode == 0, done.stderr
    return only_run(home), done.stdout


@pytest.fixture
def run(mixed: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(mixed[0], tmp_path / "runs" / mixed[0].name))


def evaluated(run: Path, *words: str) -> tuple[dict[str, Any], ScoreTable]:
    """What `eval.py` stores."""
    before = set(run.glob("evals/*"))
    groups, options = ([word for word in words if (word.split("=")[0] == "data") == group] for group in (True, False))
    eval_command(composed("eval", f"run={run}", "trainer.accelerator=cpu", *groups, *map(as_addition, options)))
    (folder,) = set(run.glob("evals/*")) - before
    return json.loads((folder / "metrics.json").read_text()), ScoreTable.read(folder / "scores.csv")


@pytest.fixture
def unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfad.commands.reports.report_of", lambda *_, **__: None)


def test_a_run_tells_its_parts_apart(mixed: tuple[Path, str]) -> None:
    folder, said = mixed
    assert "cnn-logmel-mix-" in folder.name
    assert (
        "an epoch draws 36 clips: 14 from the 24 of a (38.9%), 22 from the 12 of b (61.1%)" in said
    )  # as 24 to 3 · 12
    results = json.loads((folder / "metrics.json").read_text())
    table = ScoreTable.read(folder / "scores" / "test.csv")
    assert set(table.frame["corpus"]) == set("abc")
    assert table.frame["id"].str[0].tolist() == table.frame["corpus"].tolist()
    by_corpus = {part["value"]: part for part in results["breakdowns"]["test"]["corpus"]}
    assert {name: (part["n_bona_fide"], part["n_spoof"]) for name, part in by_corpus.items()} == {
        "a": (6, 6), "b": (4, 4), "c": (8, 8)
    }  # fmt: skip
    by_attack = {
        part["value"]: (part["n_bona_fide"], part["n_spoof"]) for part in results["breakdowns"]["test"]["attack"]
    }
    assert by_attack == {f"{c}/{a}": (n, n // 2) for c, n in (("a", 6), ("b", 4), ("c", 8)) for a in ("buzz", "hum")}
    assert results["values"]["test/eer/c/buzz"] is not None
    assert any(note.startswith("clips of 3 corpora are judged together (a, b, c)") for note in results["notes"])
    assert said.index("test by corpus, the worst first") < said.index("test by attack, the worst first")
    stored = json.loads((folder / "manifest.json").read_text())
    assert stored["parts"]["c"] == {
        "train": {"spoof": 0, "bona-fide": 0}, "val": {"spoof": 0, "bona-fide": 0}, "test": {"spoof": 8, "bona-fide": 8}
    }  # fmt: skip
    html = (folder / "report.html").read_text()
    assert "By corpus, the worst first" in html
    assert "against every bona fide clip of its corpus" in html
    assert html.count("<audio") >= 2


def test_attacks_of_one_name_in_two_corpora_are_two(mixed: tuple[Path, str]) -> None:
    values = json.loads((mixed[0] / "metrics.json").read_text())["values"]
    frame = ScoreTable.read(mixed[0] / "scores" / "test.csv").frame
    seen = (frame["corpus"] != "c") & ((frame["attack"] == "buzz") | (frame["label"] == 1))
    unseen = (frame["attack"] == "hum") | (frame["corpus"] == "c") | (frame["label"] == 1)
    for name, rows in {"seen": seen, "unseen": unseen}.items():
        table = ScoreTable(frame[rows])
        assert values[f"test/eer/{name}"] == eer(table.scores, table.labels)[0]


@pytest.mark.usefixtures("unreported")
def test_a_part_can_be_evaluated_by_itself(run: Path, corpora: Path) -> None:
    of_run = json.loads((run / "metrics.json").read_text())
    for part, known in {"a": True, "c": False}.items():
        found, table = evaluated(run, "data=manifest", f"data.path={corpora / part / 'manifest.csv'}")
        values = found["values"]
        (slice_,) = (piece for piece in of_run["breakdowns"]["test"]["corpus"] if piece["value"] == part)
        assert (values["test/eer"], values["test/n_spoof"]) == (slice_["eer"], slice_["n_spoof"])
        assert values["test/eer/buzz"] == of_run["values"][f"test/eer/{part}/buzz"]
        assert ("test/eer/seen" in values, values["test/eer/unseen"] is None) == (known, False)
        assert not any("trained the detector" in note or "judged together" in note for note in found["notes"])
        assert table.frame["id"].tolist()[0].startswith("test-")


@pytest.mark.usefixtures("unreported")
def test_clips_that_trained_the_detector_are_told_whatever_their_ids_are(
    run: Path, trained: Path, corpora: Path, tmp_path: Path
) -> None:
    csv = corpora / "b" / "manifest.csv"
    words = ["data=manifest", f"data.path={csv}", "split=all"]
    told = "20 of 28 clips that are scored here trained the detector, or chose it"
    assert evaluated(run, *words)[0]["notes"][0] == told
    unsplit = tmp_path / "unsplit.csv"  # other names in the same place, and no split of their own
    frame = pd.read_csv(csv).drop(columns="split")
    frame.assign(path=corpora.name + "/b/" + frame["path"]).to_csv(unsplit, index=False)
    words = ["data=manifest", f"data.path={unsplit}", f"data.root={corpora.parent}"]
    assert evaluated(run, *words, "split=train")[0]["notes"][0].endswith("trained the detector, or chose it")
    assert (
        evaluated(run, "split=all")[0]["notes"][0]
        == "56 of 92 clips that are scored here trained the detector, or chose it"
    )
    parts = "{one: {name: manifest, path: %s}, two: {name: manifest, path: %s}}" % (csv, corpora / "c" / "manifest.csv")  # noqa: UP031
    found, _ = evaluated(run, "data=mix", f"data.parts={parts}", "split=all")
    assert found["notes"][0] == "20 of 44 clips that are scored here trained the detector, or chose it"
    single = Path(shutil.copytree(trained, tmp_path / "single" / trained.name))
    path = Path(yaml.safe_load((single / "config.yaml").read_text())["data"]["path"])
    parts = "{one: {name: manifest, path: %s}, two: {name: manifest, path: %s}}" % (path, csv)  # noqa: UP031
    found, _ = evaluated(single, "data=mix", f"data.parts={parts}", "split=all")
    assert found["notes"][0] == "36 of 76 clips that are scored here trained the detector, or chose it"
    assert "all/eer/seen" in found["values"]


@pytest.mark.usefixtures("unreported")
def test_a_part_that_has_moved_is_found_at_its_new_place_and_one_that_is_gone_is_told(
    run: Path, corpora: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(corpora / "b", tmp_path / "b")) / "manifest.csv"
    config = (run / "config.yaml").read_text().replace(str(corpora / "b"), str(tmp_path / "nowhere"))
    (run / "config.yaml").write_text(config)
    with pytest.raises(DataError, match=r"data\.parts\.b: no manifest at .*nowhere.* as data\.parts\.b\.path=…"):
        evaluated(run)
    found, table = evaluated(run, f"data.parts.b.path={moved}")
    assert len(table) == 36
    assert found["values"]["test/eer"] == json.loads((run / "metrics.json").read_text())["values"]["test/eer"]
    found, _ = evaluated(run, "data=manifest", f"data.path={corpora / 'a' / 'manifest.csv'}", "split=all")
    assert any(
        note.startswith("whether clips that are scored here trained the detector is not known")
        for note in found["notes"]
    )


def test_the_tables_of_runs_call_a_mix_by_its_parts(run: Path) -> None:
    other = Path(shutil.copytree(run, run.with_name("other")))
    config = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("weight: 3.0", "weight: 1.0"))
    assert differing(read_board([run, other])) == ["data.parts.b.weight"]
    (other / "config.yaml").write_text(config.replace("/b/manifest.csv", "/elsewhere.csv"))
    assert differing(read_board([run, other])) == ["data.parts.b.path"]
    assert over_seeds(read_board([run, other]))["seeds"].tolist() == [2]  # the place alone makes no other run
    assert set(read_cross([run])["trained_on"]) == {"a + b + c"}


@pytest.mark.slow
def test_a_killed_run_on_a_mix_ends_bit_for_bit_like_an_undisturbed_one(
    mixed: tuple[Path, str], corpora: Path, dfad: Dfad, tmp_path: Path
) -> None:
    words = [*words_of(corpora), "data.workers=2"]
    process = start(words, tmp_path)
    stop_after(process, "epoch 2/4", signal.SIGKILL)
    again = dfad("train", *words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "goes on after its last whole epoch" in again.stdout
    folder = only_run(tmp_path)
    assert folder.name == mixed[0].name
    for name in ("curves.csv", "scores/val.csv", "scores/test.csv", "metrics.json"):
        assert (folder / name).read_bytes() == (mixed[0] / name).read_bytes(), name
