"""The processes that decode, as a server sees them: a file goes in, a waveform or a refusal comes out."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from dfad.errors import DfadError
from dfad.places import memory_file
from dfad.serve.decoder import READY, Order, out_bytes
from dfad.serve.refusals import RefusedError

_START_S, _GRACE_S = 60.0, 2.0
_KINDS = {"audio": 400, "long": 413, "memory": 413, "time": 504}
_KEPT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT")  # no secret of the server's


@dataclass(frozen=True)
class Heard:
    """What was decoded.

    Attributes:
        wave: (samples,) float32, mono at the detector's rate.
        seconds: of the file.
        full_scale: share of its samples that lie at full scale.
    """

    wave: NDArray[np.float32]
    seconds: float
    full_scale: float


class Decoders:
    """So many processes, each of which decodes one upload at a time.

    Raises:
        DfadError: if they do not start.
    """

    def __init__(self, count: int, order: Order) -> None:
        self.threads = ThreadPoolExecutor(count, thread_name_prefix="decoder")
        self.idle: SimpleQueue[_Decoder] = SimpleQueue()
        self.all = [_Decoder(order) for _ in range(count)]
        for one in self.all:
            one.start()
            self.idle.put(one)

    def __call__(self, source: int) -> Future[Heard]:
        """Decode an open file; `RefusedError` if that cannot be done."""
        return self.threads.submit(self._decode, os.dup(source))  # the request may be gone before its turn comes

    def _decode(self, source: int) -> Heard:
        decoder = self.idle.get()
        try:
            return decoder(source)
        finally:
            self.idle.put(decoder)
            os.close(source)

    def close(self) -> None:
        """End them."""
        for one in self.all:
            one.stop()
        self.threads.shutdown(cancel_futures=True)


class _Decoder:
    """One process, started anew if it has gone or does not answer."""

    def __init__(self, order: Order) -> None:
        self.order, self.closed = order, False
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        words = ["-P", "-m", "dfad.serve.decoder", str(theirs.fileno()), json.dumps(asdict(self.order))]
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, *words],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=env | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # a fork of threads would hang
            start_new_session=True,  # a Ctrl-C is for the server, which ends them when all is answered
        )
        theirs.close()
        self.connection = ours
        if self._line(_START_S) != READY:
            self.stop()
            raise DfadError("the decoder does not start; `python -m dfad.serve.decoder` must be able to")

    def __call__(self, source: int) -> Heard:
        try:
            if self.process is None or self.process.poll() is not None:
                self.start()
            with memory_file() as out:
                socket.send_fds(self.connection, [b"x"], [source, out])
                answer = json.loads(self._line(self.order.decode_s + _GRACE_S))
                return self._heard(answer, out)
        except (OSError, ValueError, TypeError, KeyError):  # it was killed, or somebody else speaks for it
            self.stop()
            raise RefusedError(504, "decoding was given up") from None

    def _heard(self, answer: dict[str, object], out: int) -> Heard:
        if "refused" in answer:
            raise RefusedError(_KINDS[str(answer["refused"])], str(answer["reason"]))
        data = os.pread(out, out_bytes(self.order), 0)
        wave = np.frombuffer(data, np.float32)
        if len(wave) != answer["samples"]:
            raise ValueError("another length than was told")
        return Heard(wave, float(str(answer["seconds"])), float(str(answer["full_scale"])))

    def _line(self, seconds: float) -> bytes:
        self.connection.settimeout(seconds)
        line = b""
        while not line.endswith(b"\n"):
            data = self.connection.recv(65_536)
            if not data:
                break
            line += data
        return line

    def stop(self) -> None:
        """End the process and its fork."""
        if self.process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.connection.close()
        self.process = None
