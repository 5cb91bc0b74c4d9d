"""Where the corpora come from: their archives, what these unpack to, and on which terms they are given.

Addresses, sizes and digests are those that the publishers state, as far as they do: the README files of ASVspoof 5 and
of M-AILABS, the records of Zenodo and of Edinburgh DataShare, the challenge's table of keys. What is not known is None.
"""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True)
class Archive:
    """What is known of one archive.

    Attributes:
        name: of the file.
        gives: what it unpacks to, below the corpus' folder; a pattern.
        url: where it lies; None if it has to be got by hand.
        about: bytes, roughly.
        into: folder below the corpus' one into which it is unpacked.
        size: bytes, where known exactly.
        sha256: digest of the file.
        md5: the same, where that is what is published.
    """

    name: str
    gives: str
    url: str | None
    about: int | None = None
    into: str = ""
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def published(self) -> str:
        """Which facts it can be checked against, in words."""
        known = {"size": self.size, "sha256": self.sha256, "md5": self.md5}
        return " and ".join(name for name, value in known.items() if value is not None)


@dataclass(frozen=True)
class Source:
    """Where a corpus comes from.

    Attributes:
        archives: in the order in which they are brought.
        terms: its licence in a few words.
        home: its page.
        by_hand: what to do about an archive without an address; `{root}` stands for the corpus' folder.
    """

    archives: tuple[Archive, ...]
    terms: str
    home: str
    by_hand: str = ""


def _for(name: str, gives: str, about: int, size: int | None = None, sha256: str | None = None) -> Source:
    archive = Archive(name, gives, f"https://bil.eecs.yorku.ca/share/{name}", about, size=size, sha256=sha256)
    return Source((archive,), "see its page", "https://bil.eecs.yorku.ca/datasets/")


def _zenodo(record: int, name: str, gives: str, about: int | None, **known: str | int) -> Archive:
    return Archive(name, gives, f"https://zenodo.org/records/{record}/files/{name}", about, **known)  # type: ignore[arg-type]


def _keys(track: str, about: int | None, md5: str | None) -> Archive:
    name = f"{track}-keys-full.tar.gz"
    return Archive(name, f"keys/{track}", f"https://www.asvspoof.org/asvspoof2021/{name}", about, md5=md5)


def _asvspoof5(part: str, about: int, md5s: str) -> tuple[Archive, ...]:
    gives = "flac_E_eval" if part == "E" else f"flac_{part}"
    names = [f"flac_{part}_a{letter}.tar" for letter in "abcdefghij"]  # each of them a whole tar
    return tuple(_zenodo(14498691, name, gives, about, md5=md5) for name, md5 in zip(names, md5s.split(), strict=False))


def _mailabs(language: str, gib: float) -> Archive:
    url = f"https://ics.tau-ceti.space/data/Training/stt_tts/{language}.tgz"
    return Archive(f"{language}.tgz", f"m-ailabs/{language}", url, round(gib * GIB), into="m-ailabs")


SOURCES = {
    "for_original": _for("for-original.tar.gz", "for-original", 7_900_000_000),
    "for_norm": _for("for-norm.tar.gz", "for-norm", 5_900_000_000),
    "for_2sec": _for(
        "for-2sec.tar.gz", "for-2seconds", 1_048_591_372, 1_048_591_372,
        "acd09881757832b5e9435d93d05e88ed366b41139ba63d47bbfa61344d706a16",
    ),
    "for_rerec": _for("for-rerec.tar.gz", "for-rerecorded", 1_560_000_000),
    "asvspoof2019_la": Source(
        (
            Archive(
                "LA.zip", "LA",
                "https://datashare.ed.ac.uk/server/api/core/bitstreams/a9f87c35-f055-4015-80e2-2fdff0d46269/content",
                7_640_952_520, size=7_640_952_520, md5="30c98f11d8b2bc21f2c257bfd78bb5c5",
            ),
        ),
        "ODC-By 1.0", "https://datashare.ed.ac.uk/handle/10283/3336",
    ),
    "asvspoof2021_la": Source(
        (
            _keys("LA", 21_000_000, None),  # packed anew in 2023: the MD5 of its README may be that of the first one
            _zenodo(
                4837263, "ASVspoof2021_LA_eval.tar.gz", "ASVspoof2021_LA_eval", 7_800_000_000,
                md5="2abee34d8b0b91159555fc4f016e4562",
            ),
        ),
        "ODC-By 1.0", "https://zenodo.org/records/4837263",
    ),
    "asvspoof2021_df": Source(
        (
            _keys("DF", None, "dabbc5628de4fcef53036c99ac7ab93a"),
            *(
                _zenodo(
                    4835108, f"ASVspoof2021_DF_eval_part0{part}.tar.gz", "ASVspoof2021_DF_eval", size,
                    size=size, **known,
                )
                for part, (size, known) in enumerate(
                    (
                        (8_637_050_238, {"md5": "4f2cbae07cf3ede2a1dde3b8d2ee55ea"}),
                        (8_624_944_890, {"md5": "1578c89ab433c2b60b1dce93bdf8fbec"}),
                        (8_616_337_195, {"md5": "5497a35f0126e94a1d7a7d26db57b4f7"}),
                        (8_656_151_261, {}),  # copies of its MD5 differ in a digit
                    )
                )
            ),
        ),
        "ODC-By 1.0", "https://zenodo.org/records/4835108",
    ),
    "asvspoof5": Source(
        (
            _zenodo(
                14498691, "ASVspoof5_protocols.tar.gz", "ASVspoof5*", None,
                md5="865d0e894ea9f686f0f37e5ae3ae3616",
            ),
            *_asvspoof5("T", 7_500_000_000, """
                b0cc86b14826a7701b52aad4f53daf9c d05be3f4be7a343fdbdd0ed29fdff2e1 70d1ba4ad75a20aef3dae541fbd321e3
                c9bb56af2cc410d98338d74babcb95c9 a3969816982f3e52300d6147ad796df7"""),
            *_asvspoof5("D", 6_690_000_000, """
                df0be44957623991028cce59792beb17 1e8cd685d89b64502692f1bcf1a13db3 5e0031f08c30e4bdbf0c59f91b2d662b"""),
            *_asvspoof5("E", 8_460_000_000, """
                a8c800766f3d4ef87971e2b4f29663e2 c35064188f54f07c87aba58de22534a0 ed7cbcd1b2847998b72472ddf6b445e3
                626a080e994b05df49c577d7b3dede8d 05f19a5e64fa556714ae1b38eb2ea70b 2ca2f52a3bbf827f7ec155ecb47e85d6
                671200b5de2fc1e74a563b07b057af8f eaf885b1299a61eb07f71e82e96dba37 b2625683bf440abae2af901a45542ad9
                c50281c8233af6f3b0899604d21ade44"""),
        ),
        "ODC-By 1.0, bona fide CC BY 4.0", "https://zenodo.org/records/14498691",
    ),
    "in_the_wild": Source(
        (
            Archive(
                "release_in_the_wild.zip", "release_in_the_wild",
                "https://huggingface.co/datasets/mueller91/In-The-Wild/resolve/main/release_in_the_wild.zip",
                8_160_000_000,
            ),
        ),
        "CC BY-SA 4.0", "https://huggingface.co/datasets/mueller91/In-The-Wild",
    ),
    "wavefake": Source(
        (
            Archive(
                "LJSpeech-1.1.tar.bz2", "LJSpeech-1.1",
                "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
                2_748_572_632, size=2_748_572_632,
                sha256="be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
            ),
            Archive("jsut_ver1.1.zip", "jsut_ver1.1", "http://ss-takashi.sakura.ne.jp/corpus/jsut_ver1.1.zip"),
            _zenodo(
                5642694, "generated_audio.zip", "generated_audio", 28_918_626_084,
                size=28_918_626_084, md5="76b3e62d69f866e57ad6b1debaff434b",
            ),
        ),
        "CC BY-SA 4.0; LJSpeech public domain; JSUT research only, not to be passed on",
        "https://zenodo.org/records/5642694",
    ),
    "mlaad": Source(
        (
            Archive("mlaad.zip", "fake", None),
            *(
                _mailabs(language, gib)
                for language, gib in (
                    *(("de_DE", 20), ("en_UK", 3.5), ("en_US", 7.5), ("es_ES", 8.3), ("fr_FR", 15), ("it_IT", 9.5)),
                    *(("pl_PL", 4.2), ("ru_RU", 3.6), ("uk_UK", 6.7)),
                )
            ),
        ),
        "CC BY-NC 4.0, to be accepted with an account; M-AILABS as its LICENSE says",
        "https://huggingface.co/datasets/mueller91/MLAAD",
        "accept the terms on its page, type `hf auth login`, then\n"
        "hf download mueller91/MLAAD --repo-type dataset --local-dir {root}",
    ),
}  # fmt: skip
