"""Bring a corpus: the archives that it lacks are downloaded, checked and unpacked, each of them once.

What was unpacked stands in a small file beside it, so that a run that was stopped goes on; a copy that somebody has
laid there by hand has no such file, and is told by what the archives would have given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from dfad.corpora.archives import SOURCES, Archive, Source
from dfad.corpora.base import AbsentError, Progress
from dfad.download import check, fetch, readable, require_space
from dfad.errors import ConfigError, DataError
from dfad.extract import extract

RECORD = ".dfad-archives.json"


@dataclass(frozen=True)
class Tell:
    """Who is told how it goes.

    Attributes:
        say: of a line.
        note: of a line that a user may wonder about.
        watch: gives who is told the progress of a task of some name.
    """

    say: Callable[[str], None]
    note: Callable[[str], None]
    watch: Callable[[str], AbstractContextManager[Progress]]


def lacking(corpus: str, root: Path, read: Callable[[], object] | None) -> list[Archive]:
    """Which archives of a corpus have still to be brought.

    Args:
        corpus: its name.
        root: its folder.
        read: reads the corpus, which knows copies in layouts of their own, or of a part that somebody wants; None:
            only what archives unpack to counts.

    Raises:
        DataError: for a folder that holds something else, of which nobody knows what it lacks.
    """
    source = SOURCES[corpus]
    done = _unpacked(root)
    unlaid = [archive for archive in source.archives if not _laid(archive, root, source)]
    if done is not None:  # brought by this command
        missing = [archive for archive in source.archives if archive.name not in done]
        if missing or len(unlaid) < len(source.archives):
            return missing
    if read is None or not unlaid:
        return unlaid
    try:
        read()
    except AbsentError:
        return unlaid
    except DataError as error:
        if len(unlaid) < len(source.archives) or not (
            root.is_dir() and any(_foreign(it, source) for it in root.iterdir())
        ):
            return unlaid
        hint = f"to download it, give another folder: dfad prepare {corpus} --root DIR"
        raise DataError(f"{error}\n{hint}") from None
    return []


def bring(
    corpus: str,
    root: Path,
    *,
    read: Callable[[], object] | None,
    given: Sequence[Path],
    tell: Tell,
    download: bool = True,
    keep: bool = False,
    ca_file: Path | None = None,
) -> None:
    """Make a corpus complete.

    Args:
        corpus: its name.
        root: its folder.
        read: as `lacking` takes it.
        given: archives that somebody has downloaded, or their parts; if there are any, nothing else is downloaded.
        tell: who is told.
        download: whether to fetch what is missing.
        keep: do not delete what was downloaded.
        ca_file: PEM certificates to trust beside the system's.

    Raises:
        DataError: if an archive cannot be had, is not the right one, or cannot be unpacked.
        ConfigError: for files that are none of the corpus' archives.
    """
    if root.is_file():
        raise DataError(f"{root} is a file; give it as: dfad prepare {corpus} --archive {root}")
    for path in given:
        if not path.is_file():
            raise DataError(f"no archive at {path}")
    read = None if given else read
    if not lacking(corpus, root, read):
        tell.say(f"{corpus} is there already: {root}")
        return
    with _locked(root, corpus):
        missing = lacking(corpus, root, read)  # another process may have brought some while this one waited
        files = _assign(missing, given, SOURCES[corpus])
        wanted = [archive for archive in missing if archive.name in files or (download and not given)]
        _announce(corpus, root, missing, wanted, tell)
        _require_addresses(corpus, root, [archive for archive in wanted if archive.name not in files])
        done = [archive.name for archive in SOURCES[corpus].archives if archive not in missing]
        for archive in wanted:
            _remember(root, done)  # before anything is laid there, or half of a corpus would look like somebody's copy
            parts = files.get(archive.name)
            if parts and len(parts) == 1:
                check(parts[0], size=archive.size, sha256=archive.sha256, md5=archive.md5)
            packed = parts or [_download(corpus, root, archive, tell, ca_file)]
            known = (
                f"{archive.published} are as published" if archive.published else "nothing is published to check it by"
            )
            tell.say(f"unpacking {packed[0]} ({known if len(packed) == 1 else f'{len(packed)} parts'})")
            with tell.watch(f"unpacking {archive.name}") as progress:
                extract(packed, root / archive.into, progress=progress)
            done.append(archive.name)
            _remember(root, done)
            if not parts and not keep:
                packed[0].unlink()


def _unpacked(root: Path) -> list[str] | None:
    """The archives that were unpacked here; None if none ever was."""
    try:
        return [str(name) for name in json.loads((root / RECORD).read_text())["unpacked"]]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{root / RECORD} cannot be read ({error}); delete it if all of the corpus is there") from None


def _remember(root: Path, done: Sequence[str]) -> None:
    """Write down which archives have been unpacked."""
    part = root / f"{RECORD}.part"
    part.write_text(json.dumps({"unpacked": done}, indent=1))
    part.replace(root / RECORD)


def _laid(archive: Archive, root: Path, source: Source) -> bool:
    """Whether something lies where the archive would have laid it."""
    return any(_foreign(path, source) for path in root.glob(archive.gives))


def _foreign(path: Path, source: Source) -> bool:
    """Whether a path is neither hidden, nor an empty folder, nor a download of ours on its way."""
    ours = {archive.name for archive in source.archives}
    if path.name.startswith(".") or path.name.removesuffix(".tag").removesuffix(".part") in ours:
        return False
    return not path.is_dir() or any(path.iterdir())


@contextmanager
def _locked(root: Path, corpus: str) -> Iterator[None]:
    try:
        root.mkdir(parents=True, exist_ok=True)
        held = FileLock(root / f".{corpus}.lock").acquire()
    except OSError as error:
        raise DataError(f"cannot write to {root}: {error.strerror or error}") from None
    with held:
        yield


def _assign(missing: Sequence[Archive], given: Sequence[Path], source: Source) -> Mapping[str, list[Path]]:
    """Which archive each given file is: told by its name, `<name>` or `<name>.<part>`, or by being the only one."""
    found: dict[str, list[Path]] = {}
    known = [archive.name for archive in source.archives]
    for path in sorted(given):
        name = next((name for name in known if path.name == name or path.name.startswith(f"{name}.")), "")
        if not name and len(missing) == len(given) == 1:
            name = missing[0].name
        if not name:
            raise ConfigError(f"which archive is {path}? name it as one of: {', '.join(known)}")
        found.setdefault(name, []).append(path)
    return {archive.name: found[archive.name] for archive in missing if archive.name in found}


def _announce(corpus: str, root: Path, missing: Sequence[Archive], wanted: Sequence[Archive], tell: Tell) -> None:
    """Say what will be brought and what will not, and refuse what the disk has no room for."""
    if later := [archive for archive in missing if archive not in wanted]:
        tell.note(f"not brought: {sizes(later)} of {corpus}: {', '.join(archive.name for archive in later)}")
    if wanted:
        tell.say(f"{corpus}: {sizes(wanted)}, to {root}; terms: {SOURCES[corpus].terms}; {SOURCES[corpus].home}")
    require_space(root, sum(archive.about or 0 for archive in wanted), f"{corpus}, before it is unpacked,")


def _require_addresses(corpus: str, root: Path, wanted: Sequence[Archive]) -> None:
    """Refuse to download what has no address, and say how else it is got."""
    source = SOURCES[corpus]
    if names := [archive.gives for archive in wanted if archive.url is None]:
        raise DataError(
            f"{', '.join(names)} of {corpus} cannot be downloaded without you ({source.terms}; {source.home}):\n"
            f"{source.by_hand.format(root=root)}\nthen the same command again brings the rest"
        )


def sizes(archives: Sequence[Archive]) -> str:
    """How many archives, and how large.

    >>> sizes([Archive("a", "a", None, 2_000_000), Archive("b", "b", None)])
    '2 archives, 2 MB and 1 of unknown size'
    """
    unknown = sum(archive.about is None for archive in archives)
    known = readable(sum(archive.about or 0 for archive in archives))
    count = f"{len(archives)} archive{'s' if len(archives) > 1 else ''}"
    if unknown == len(archives):
        return f"{count} of unknown size"
    return f"{count}, {known}" + (f" and {unknown} of unknown size" if unknown else "")


def _download(corpus: str, root: Path, archive: Archive, tell: Tell, ca_file: Path | None) -> Path:
    assert archive.url is not None
    size = "size unknown" if archive.about is None else readable(archive.about)
    tell.say(f"downloading {archive.name} ({size}) from {archive.url}")
    offline = (
        f"or download it ({size}) on another machine, a browser will do, and give it as\n"
        f"dfad prepare {corpus} --root {root} --archive {archive.name}"
    )
    with tell.watch(archive.name) as progress:
        return fetch(
            archive.url,
            root / archive.name,
            size=archive.size,
            sha256=archive.sha256,
            md5=archive.md5,
            offline=offline,
            progress=progress,
            say=tell.note,
            ca_file=ca_file,
        )
