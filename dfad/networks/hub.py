"""The Hugging Face hub: a model's files into its cache, asked once, quietly, and without waiting for a lost network."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dfad.download import Progress
from dfad.errors import ConfigError, DataError

PATIENCE_S = 10.0  # for the first answer; `huggingface_hub` alone would try for half a minute


def cached(name: str, revision: str, file: str) -> Path | None:
    """A file of a model in the cache of `huggingface_hub`, or None; asks no network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def listed(name: str, revision: str, hint: str) -> set[str]:
    """The names of a model's files on the hub.

    Args:
        name: owner/model.
        revision: branch, tag or commit.
        hint: what to do without a network, the last line of errors.

    Raises:
        ConfigError: if the hub has no such model or revision.
        DataError: if it cannot be asked.
    """
    from huggingface_hub import HfApi

    with _told(name, revision, hint):
        about = HfApi().model_info(name, revision=revision, timeout=PATIENCE_S)
    return {file.rfilename for file in about.siblings or ()}


def download(name: str, revision: str, files: Collection[str], hint: str, progress: Progress | None = None) -> Path:
    """Bring files of a model into the cache; what was cut off goes on.

    Returns:
        The folder where they lie, named by the commit.

    Raises:
        DataError: if they cannot be had.
    """
    from huggingface_hub import hf_hub_download

    folder = Path()
    for file in files:
        with _told(name, revision, hint):
            folder = Path(hf_hub_download(name, file, revision=revision, tqdm_class=_bar(progress))).parent
    return folder


@contextmanager
def _told(name: str, revision: str, hint: str) -> Iterator[None]:
    """Say what went wrong in our words, once, instead of every try in theirs."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except RevisionNotFoundError:
        raise ConfigError(f"model.revision={revision}: {name} on the hub has no such branch, tag or commit") from None
    except GatedRepoError:
        raise ConfigError(
            f"model.backbone={name}: its owners let in only whom they know; ask on its page, then type: hf auth login"
        ) from None
    except RepositoryNotFoundError:
        raise ConfigError(
            f"model.backbone={name}: the hub has no such model, or it is private; check the spelling, "
            "or give a folder: model.backbone=<folder>"
        ) from None
    except Exception as error:  # of httpx, the file system, or the hub's own, all without a common base
        why = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"model.backbone={name} cannot be downloaded: {why}\n{hint}") from None
    finally:
        logger.setLevel(level)


def _bar(progress: Progress | None) -> type[Any]:
    """A bar as `huggingface_hub` fills it, which draws nothing and tells our own."""
    from tqdm import tqdm

    class Told(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "disable": True})
            self.done, self.size = int(options.get("initial") or 0), int(options.get("total") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self.done += int(n or 0)
            if progress:
                progress(self.done, self.size)
            return None

    return Told
