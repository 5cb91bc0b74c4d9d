"""Small stand-ins for published corpora, each in its own layout, made on the fly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

Make = Callable[[Path, bool], None]


def sound(path: Path, spoof: bool) -> None:
    """Write a clip that a network tells in seconds: bona fide is noise, spoof a buzz."""
    random = np.random.default_rng(sum(path.name.encode()))
    time = np.arange(9600) / 16000
    wave = np.sign(np.sin(2 * np.pi * random.uniform(80, 300) * time)) if spoof else random.normal(size=len(time))
    soundfile.write(path, 0.1 * wave, 16000)


def empty(path: Path, spoof: bool) -> None:
    """Make a file without sound: enough where nobody listens."""
    path.touch()


def write(path: Path, lines: Sequence[str]) -> Path:
    """Write lines of text, and the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def fill(folder: Path, files: Sequence[str], make: Make, spoof: bool = False) -> None:
    """Make files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        make(folder / name, spoof)


def asvspoof2019_la(root: Path, make: Make = empty, each: int = 3) -> Path:
    """As LA.zip unpacks; in each split so many bona fide clips, and twice as many spoofed ones."""
    home = root / "LA"
    for split, kind, letter, attack in (("train", "trn", "T", 1), ("dev", "trl", "D", 1), ("eval", "trl", "E", 7)):
        names = [f"LA_{letter}_{1000000 + number}" for number in range(3 * each)]
        keys = ["- bonafide"] * each + [f"A{attack + number % 3:02} spoof" for number in range(2 * each)]
        lines = [f"LA_{n % 4:04} {name} - {key}" for n, (name, key) in enumerate(zip(names, keys, strict=True))]
        write(home / "ASVspoof2019_LA_cm_protocols" / f"ASVspoof2019.LA.cm.{split}.{kind}.txt", lines)
        audio = home / f"ASVspoof2019_LA_{split}" / "flac"
        fill(audio, [f"{name}.flac" for name in names[:each]], make)
        fill(audio, [f"{name}.flac" for name in names[each:]], make, spoof=True)
    lists = home / "ASVspoof2019_LA_asv_protocols"
    write(lists / "ASVspoof2019.LA.asv.dev.female.trn.txt", ["LA_0001 LA_D_9000001,LA_D_9000002"])
    fill(home / "ASVspoof2019_LA_dev" / "flac", ["LA_D_9000001.flac", "LA_D_9000002.flac"], make)
    return root


def _phased(root: Path, task: str, lines: Callable[[str, str, str, int], str], make: Make, each: int) -> Path:
    """Evaluation clips of 2021: in each phase so many of both classes."""
    keys, folder = [], root / f"ASVspoof2021_{task}_eval" / "flac"
    for place, phase in enumerate(("eval", "progress", "hidden")):
        for number in range(2 * each):
            name = f"{task}_E_{2000000 + 1000 * place + number}"
            keys.append(lines(name, "spoof" if number % 2 else "bonafide", phase, number))
            fill(folder, [f"{name}.flac"], make, spoof=bool(number % 2))
    write(root / "keys" / task / "CM" / "trial_metadata.txt", keys)
    write(
        root / "keys" / task / "ASV" / "trial_metadata.txt", ["LA_0015 LA_E_3053506 none loc_tx A07 spoof notrim eval"]
    )
    return root


def asvspoof2021_la(root: Path, make: Make = empty, each: int = 3) -> Path:
    """As audio and keys of 2021 LA unpack beside each other."""

    def line(name: str, key: str, phase: str, number: int) -> str:
        attack = "A07" if key == "spoof" else "bonafide"
        return (
            f"LA_000{number % 3} {name} alaw ita_tx {attack} {key} {'trim' if phase == 'hidden' else 'notrim'} {phase}"
        )

    return _phased(root, "LA", line, make, each)


def asvspoof2021_df(root: Path, make: Make = empty, each: int = 3) -> Path:
    """As audio and keys of 2021 DF unpack beside each other, the audio in one part."""

    def line(name: str, key: str, phase: str, number: int) -> str:
        trim = "trim" if phase == "hidden" else "notrim"
        if number % 4 == 3:
            vocoder = "neural_vocoder_nonautoregressive"
            return f"TEF2 {name} low_m4a vcc2020 Task1-team20 {key} {trim} {phase} {vocoder} Task1 team20 FF E"
        attack, vocoder = ("A14", "traditional_vocoder") if key == "spoof" else ("bonafide", "bonafide")
        return f"LA_0023 {name} nocodec asvspoof {attack} {key} {trim} {phase} {vocoder} - - - -"

    return _phased(root, "DF", line, make, each)


def asvspoof5(root: Path, make: Make = empty, each: int = 3) -> Path:
    """As the tars of ASVspoof 5 unpack; in each split so many bona fide clips, and twice as many spoofed ones."""
    protocols = root / "ASVspoof5_protocols"
    for letter, folder, name in (
        ("T", "flac_T", "train"),
        ("D", "flac_D", "dev.track_1"),
        ("E", "flac_E_eval", "eval.track_1"),
    ):
        lines = []
        for number in range(3 * each):
            clip, real = f"{letter}_{number:010}", number < each
            codec = "- 0 -" if letter == "E" and number % 2 else f"C05 3 {letter}_9999999999"
            codec = codec if letter == "E" else "- - -"
            attack = "- bonafide bonafide" if real else f"AC1 A{number % 3 + 1:02} spoof"
            lines.append(f"{letter}_{number % 4:04} {clip} {'FM'[number % 2]} {codec} {attack} -")
            fill(root / folder, [f"{clip}.flac"], make, spoof=not real)
        write(protocols / f"ASVspoof5.{name}.tsv", lines)
    write(protocols / "ASVspoof5.dev.track_2.enroll.tsv", ["D_0001 D_8000000001,D_8000000002"])
    write(protocols / "ASVspoof5.dev.track_2.trial.tsv", ["D_0001 D_0000000001 F bonafide target"])
    fill(root / "flac_D", ["D_8000000001.flac", "D_8000000002.flac"], make)
    return root


def in_the_wild(root: Path, make: Make = empty, speakers: int = 40, each: int = 2) -> Path:
    """As release_in_the_wild.zip unpacks: so many clips of both classes of every speaker."""
    home, lines = root / "release_in_the_wild", ["file,speaker,label"]
    for number in range(2 * speakers * each):
        spoof = bool(number % 2)
        fill(home, [f"{number}.wav"], make, spoof)
        lines.append(f"{number}.wav,Speaker {number // 2 % speakers},{'spoof' if spoof else 'bona-fide'}")
    write(home / "meta.csv", lines)
    return root


LJ, JSUT = "LJ001-{:04}", "BASIC5000_{:04}"
VOCODERS = {
    "ljspeech_melgan": "_gen.wav",
    "ljspeech_hifiGAN": "_generated.wav",
    "ljspeech_waveglow": ".wav",
    "jsut_parallel_wavegan": "_gen.wav",
}


def wavefake(root: Path, make: Make = empty, each: int = 40) -> Path:
    """As generated_audio.zip, LJSpeech and JSUT unpack beside each other: so many utterances of both voices."""
    for folder, ending in VOCODERS.items():
        name = JSUT if folder.startswith("jsut") else LJ
        files = [name.format(number) + ending for number in range(1, each + 1)]
        fill(root / "generated_audio" / folder, files, make, spoof=True)
    other = "common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech"
    fill(root / "generated_audio" / other, [f"gen_{number}.wav" for number in range(each)], make, spoof=True)
    names = [LJ.format(number) for number in range(1, each + 1)]
    fill(root / "LJSpeech-1.1" / "wavs", [f"{name}.wav" for name in names], make)
    write(root / "LJSpeech-1.1" / "metadata.csv", [f'{name}|He said "{name}|he said "{name}' for name in names])
    names = [JSUT.format(number) for number in range(1, each + 1)]
    fill(root / "jsut_ver1.1" / "basic5000" / "wav", [f"{name}.wav" for name in names], make)
    write(root / "jsut_ver1.1" / "basic5000" / "transcript_utf8.txt", [f"{name}:水を" for name in names])
    return root


META = "path|original_file|language|is_original_language|duration|training_data|model_name|architecture|transcript"
READERS = ("ramona", "tux", "mary_ann", "nina_brown", "bernard", "eva_k", "ezwa", "karlsson")  # some in every split


def mlaad(root: Path, make: Make = empty, each: int = 2) -> Path:
    """`fake` beside German and English of M-AILABS: so many recordings of each reader, each synthesised twice."""
    lines: dict[tuple[str, str], list[str]] = {}
    for place, reader in enumerate(READERS):
        locale = ("de_DE", "en_US")[place % 2]
        book = root / "M-AILABS" / locale / "by_book" / "female" / reader / "a_book"
        names = [f"a_book_{place}_f{number:06}" for number in range(each)]
        fill(book / "wavs", [f"{name}.wav" for name in names], make)
        write(book / "metadata.csv", [f'{name}|Say "{number}|say {number}' for number, name in enumerate(names)])
        for model in ("vits", "xtts"):
            for number, name in enumerate(names):
                file = f"{reader}_{number}.wav"
                fill(root / "fake" / locale[:2] / model, [file], make, spoof=True)
                original = f"{locale}/by_book/female/{reader}/a_book/wavs/{name}.wav"
                lines.setdefault((locale[:2], model), []).append(
                    f"./fake/{locale[:2]}/{model}/{file}|{original}|{locale[:2]}|True|0.6|"
                    f'own|tts/{model}|{model.upper()}|Say "{number}'
                )
    for (language, model), rows in lines.items():
        write(root / "fake" / language / model / "meta.csv", [META, *rows])
    return root
