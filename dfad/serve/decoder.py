"""A program that decodes what strangers send: each upload in a fork of its own, with limits that the kernel keeps.

It is given a file and a place for the sound over a socket, and answers with a line of JSON: what was heard, or why
not. Nothing here imports torch, so that it starts in a moment and a fork costs milliseconds; no fork has seen the file
of another.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from math import ceil, inf
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import soxr

from dfad.audio import LIMITS, decode, to_mono
from dfad.errors import AudioError
from dfad.scoring.sound import Listener

READY = b"ready\n"
_SAMPLE = 4  # bytes of a float32
_LINE = 65_536  # bytes of an answer
_UNKNOWN = "no audio that can be decoded"


@dataclass(frozen=True)
class Order:
    """How to decode.

    Attributes:
        rate: of the result, Hz.
        max_seconds: of sound.
        decode_s: seconds of the clock, and of a core.
        decode_bytes: of memory beside what the program is.
    """

    rate: int
    max_seconds: float
    decode_s: float
    decode_bytes: int


def serve(connection: socket.socket, order: Order) -> None:
    """Decode what comes until the other side has gone."""
    connection.sendall(READY)
    while True:
        _, files, *_ = socket.recv_fds(connection, 1, 2)
        if len(files) != 2:
            return
        try:
            connection.sendall(_in_a_fork(files[0], files[1], order, connection) + b"\n")
        finally:
            for file in files:
                os.close(file)


def _in_a_fork(source: int, out: int, order: Order, connection: socket.socket) -> bytes:
    """The answer of a fork, or what became of it."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            connection.close()
            os.write(write, json.dumps(_limited(source, out, order)).encode()[:_LINE])
        finally:
            os._exit(0)
    os.close(write)
    end, answer, late = monotonic() + order.decode_s, b"", False
    while not late:
        ready, _, _ = select.select([read], [], [], max(0.0, end - monotonic()))
        late = not ready
        data = os.read(read, _LINE) if ready else b""
        if not data:
            break
        answer += data
    os.close(read)
    if late:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if late or killed in (signal.SIGXCPU, signal.SIGKILL):
        return json.dumps(_refusal("time", f"decoding took longer than {order.decode_s:g} s")).encode()
    return answer if answer and not killed else json.dumps(_refusal("audio", _UNKNOWN)).encode()


def _limited(source: int, out: int, order: Order) -> dict[str, Any]:
    """What was heard, or a refusal; with the limits of this process as low as the work allows."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries write about a file there
    seconds = ceil(order.decode_s)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most := out_bytes(order), most))
    if (statm := Path("/proc/self/statm")).exists():
        now = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + order.decode_bytes,) * 2)
    path = Path(f"/proc/self/fd/{source}" if statm.exists() else f"/dev/fd/{source}")
    try:
        return decoded(path, out, order)
    except AudioError as error:
        return _refusal("audio", str(error).replace(f"{path}: ", "").replace(str(path), "it"))
    except _TooLongError as error:
        return _refusal("long", str(error))
    except MemoryError:
        return _refusal("memory", f"decoding takes more than {order.decode_bytes >> 20} MiB of memory")
    except Exception:  # hostile bytes can raise anything in a decoder
        return _refusal("audio", _UNKNOWN)


def decoded(path: Path, out: int, order: Order) -> dict[str, Any]:
    """Write the sound as mono float32 at the rate that was asked for, and tell how much that is.

    Returns:
        Samples written, seconds of the file, and the share of its samples that lie at full scale.

    Raises:
        AudioError: for sound that cannot be used.
        _TooLongError: for too much of it.
    """
    limits, seconds, samples = replace(LIMITS, max_duration_s=inf), 0.0, 0
    listener, resampler = Listener(order.rate), None
    for info, wave in decode(path, limits=limits):
        seconds += len(wave) / info.sample_rate
        if max(info.duration_s, seconds) > order.max_seconds:  # headers of some formats only guess
            length = max(info.duration_s, seconds)
            raise _TooLongError(f"{length:.0f} s long, at most {order.max_seconds:g} s are allowed")
        listener.stored(wave)
        mono = to_mono(wave)
        if info.sample_rate != order.rate:  # in the same blocks as everywhere, so that scores are the same
            resampler = resampler or soxr.ResampleStream(info.sample_rate, order.rate, 1, dtype="float32", quality="HQ")
            mono = resampler.resample_chunk(mono)
        samples += _write(out, mono)
    if resampler:
        samples += _write(out, resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    share = listener.at_full_scale / max(1, listener.stored_samples)
    return {"samples": samples, "seconds": seconds, "full_scale": share}


def out_bytes(order: Order) -> int:
    """Bytes that the sound has at most."""
    return (ceil(order.max_seconds + 1) * order.rate) * _SAMPLE


class _TooLongError(Exception):
    """More sound than is allowed."""


def _write(out: int, wave: np.ndarray) -> int:
    data = memoryview(wave.astype(np.float32, copy=False).tobytes())
    while len(data):
        data = data[os.write(out, data) :]
    return len(wave)


def _refusal(kind: str, reason: str) -> dict[str, Any]:
    return {"refused": kind, "reason": " ".join(reason.split())}


def main() -> None:
    """Serve the socket whose number is the first word; the second is the order as JSON."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # nothing of an upload stays behind
    if find_spec("av"):
        import_module("av")  # once, and not in every fork
    number, order = sys.argv[1:]
    serve(socket.socket(fileno=int(number)), Order(**json.loads(order)))


if __name__ == "__main__":
    main()
