"""The parts of a server: decoding apart and within limits, uploads with a deadline, one thread that scores."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.types import Message

from dfad.audio import load
from dfad.checkpoint import Checkpoint
from dfad.errors import AudioError
from dfad.places import memory_file
from dfad.scorer import Scorer
from dfad.scoring.options import ScoringKnobs
from dfad.serve.batcher import Batcher
from dfad.serve.decoder import Order
from dfad.serve.decoders import Decoders, Heard
from dfad.serve.limits import Limits
from dfad.serve.refusals import RefusedError
from dfad.serve.upload import Uploads
from tests.hostile import RATE, encoded, speech
from tests.test_scorer import content, noise

USUAL = Order(RATE, 600, 20, 256 << 20)


def decoded(decoders: Decoders, clip: bytes) -> Heard:
    with memory_file() as file:
        os.write(file, clip)
        return decoders(file).result(60)


def refusal(decoders: Decoders, clip: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as found:
        decoded(decoders, clip)
    return found.value


@pytest.fixture
def decoders(request: pytest.FixtureRequest) -> Iterator[Decoders]:
    one = Decoders(1, getattr(request, "param", USUAL))
    yield one
    one.close()


def test_what_was_decoded(decoders: Decoders, tmp_path: Path) -> None:
    clip = encoded(noise(30_000, channels=3), RATE)
    (tmp_path / "clip.wav").write_bytes(clip)
    heard = decoded(decoders, clip)
    np.testing.assert_allclose(heard.wave, load(tmp_path / "clip.wav", sample_rate=RATE), atol=1e-7)
    assert heard.seconds == 30_000 / RATE
    loud = decoded(decoders, encoded(np.ones(RATE)))
    assert loud.full_scale == 1


def test_a_decoder_that_was_killed_is_replaced(decoders: Decoders) -> None:
    process = decoders.all[0].process
    assert process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(decoded(decoders, encoded(speech())).wave) == RATE


@pytest.mark.parametrize("decoders", [Order(384_000, 10_000, 1.0, 256 << 20)], indirect=True)
def test_a_bomb_of_time(decoders: Decoders) -> None:
    bomb = encoded(np.zeros(RATE * 600), format="FLAC")  # ten minutes in some kB, and at that rate a gigabyte
    error = refusal(decoders, bomb)
    assert (error.status, "longer than 1 s" in error.reason) == (504, True)
    assert len(decoded(decoders, encoded(speech(0.2))).wave) == 76_800


@pytest.mark.parametrize("decoders", [Order(RATE, 600, 20, 4 << 20)], indirect=True)
def test_a_bomb_of_memory(decoders: Decoders) -> None:
    bomb = encoded(np.zeros((RATE * 20, 8)), format="FLAC")
    error = refusal(decoders, bomb)
    assert (error.status, "more than 4 MiB" in error.reason) == (413, True)
    assert len(decoded(decoders, encoded(speech())).wave) == RATE


@pytest.mark.parametrize("decoders", [Order(RATE, 5, 20, 256 << 20)], indirect=True)
def test_too_much_sound(decoders: Decoders) -> None:
    assert refusal(decoders, encoded(speech(6))).status == 413
    assert len(decoded(decoders, encoded(speech(5))).wave) == 5 * RATE


def received(uploads: Uploads, *parts: Message, headers: dict[str, str] | None = None, give_up: bool = False) -> bytes:
    """What uploads make of the parts of a body, after which nothing comes any more."""
    rest = list(parts)

    async def receive() -> Message:
        if rest:
            return rest.pop(0)
        if give_up:
            uploads.give_up()
        await asyncio.sleep(60)
        raise AssertionError

    async def take() -> bytes:
        async with uploads.received(headers or {}, receive) as file:
            return os.pread(file, 1000, 0)

    return asyncio.run(take())


def part(data: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


def test_uploads() -> None:
    uploads = Uploads(Limits(max_mb=10 / 2**20, upload_s=0.05))
    assert received(uploads, part(b"ab"), part(b"cd", more=False)) == b"abcd"
    for status, words, parts in (
        (408, "longer than 0.05 s", [part(b"ab")]),
        (413, "larger", [part(b"abcdef"), part(b"ghijk")]),
        (400, "empty", [part(b"", more=False)]),
        (400, "ended", [part(b"ab"), {"type": "http.disconnect"}]),
    ):
        with pytest.raises(RefusedError, match=words) as found:
            received(uploads, *parts)
        assert found.value.status == status
    with pytest.raises(RefusedError, match="larger"):
        received(uploads, headers={"content-length": "11"})
    assert not uploads.deadlines


def test_uploads_under_way_are_given_up() -> None:
    uploads = Uploads(Limits())
    with pytest.raises(RefusedError, match="shutting down"):
        received(uploads, part(b"ab"), give_up=True)
    with pytest.raises(RefusedError, match="shutting down"):
        received(uploads, part(b"ab"))


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    torch.save(content(), tmp_path / "best.ckpt")
    return Scorer(Checkpoint.read(tmp_path / "best.ckpt"))


def test_one_thread_scores_for_all(scorer: Scorer) -> None:
    batcher = Batcher(scorer, ScoringKnobs())
    waves = [noise(9000 + 4000 * number, seed=number) for number in range(6)]
    found = [batcher.score(Heard(wave, len(wave) / RATE, 0.0)) for wave in waves]
    task = batcher.do(lambda: 1 + 1)
    for wave, future in zip(waves, found, strict=True):
        assert future.result(60).score == pytest.approx(scorer(wave, RATE).score, abs=1e-5)
    assert task.result(60) == 2
    batcher.close()


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_fault_is_told_to_those_who_wait_and_ends_nothing(scorer: Scorer) -> None:
    batcher, wave = Batcher(scorer, ScoringKnobs()), noise()
    heard = Heard(wave, len(wave) / RATE, 0.0)
    usual, scorer.score = scorer.score, lambda wave: 1 / 0  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        batcher.score(heard).result(60)
    scorer.score = usual  # type: ignore[method-assign]
    with pytest.raises(AudioError):
        batcher.score(Heard(np.full(20_000, np.nan, np.float32), 1.25, 0.0)).result(60)
    with pytest.raises(ZeroDivisionError):
        batcher.do(lambda: 1 / 0).result(60)
    assert batcher.score(heard).result(60).windows
    batcher.close()
