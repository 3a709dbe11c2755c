"""Processes of ours that answer questions: a line of JSON goes in, a line of JSON and perhaps bytes come
back.

A child that crashes, or is slower than allowed, costs the one question; the next one starts it anew. Its
life ends with the server's: its standard input closes.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import echomimic
from echomimic.errors import EchoMimicError
from echomimic.studio.problems import Refused, refusal

Question = dict[str, Any]
Answer = tuple[dict[str, Any], bytes]


def start(module: str, *arguments: str, **pipes: Any) -> "subprocess.Popen[bytes]":
    """``python -m module``, with this package in its path."""
    root = str(Path(echomimic.__file__).parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, **pipes.pop("environment", {})}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, env=environment, **pipes
    )


class Child:
    """One process that is asked by any thread, one question at a time.
    ``environment`` is added to the server's."""

    def __init__(self, module: str, what: str, **environment: str) -> None:
        self._module, self._what, self._environment = module, what, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._over = False

    def ask(self, question: Question, seconds: float) -> Answer:
        """The answer; raises :class:`Refused` when there is none within ``seconds``."""
        with self._lock:
            process = self._alive()
            timer = threading.Timer(seconds, process.kill)
            timer.start()
            try:
                return self._exchange(process, question)
            except (OSError, ValueError, EOFError):
                process.kill()
                process.wait()
                raise (
                    _ending()
                    if self._over
                    else Refused(
                        "invalid", f"{self._what} took too long or needed too much memory; try a smaller file"
                    )
                ) from None
            finally:
                timer.cancel()

    def warm(self) -> None:
        """Starts the process before it is needed."""
        with self._lock:
            self._alive()

    def end(self) -> None:
        """Ends the process for good: the question it works on is refused, and so is every later one."""
        self._over = True
        self.close()

    def _alive(self) -> "subprocess.Popen[bytes]":
        if self._over:
            raise _ending()
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = start(self._module, stdout=subprocess.PIPE, environment=self._environment)
        return self._process

    def _exchange(self, process: "subprocess.Popen[bytes]", question: Question) -> Answer:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(question).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise EOFError
        head = json.loads(line)
        data = process.stdout.read(head.pop("bytes"))
        if refused := head.get("refused"):
            raise Refused(**refused)
        return head, data

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _ending() -> Refused:
    return Refused("conflict", "the studio is being ended; try again when it runs")


def answer_all(handle: Callable[[Question], Answer]) -> None:
    """The child's side: answers until its input ends. What libraries print goes to standard error."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        _reply(out, handle, json.loads(line))


def _reply(out: IO[bytes], handle: Callable[[Question], Answer], question: Question) -> None:
    try:
        head, data = handle(question)
    except (EchoMimicError, Refused, OSError, MemoryError) as error:
        head, data = {"refused": _as_words(error)}, b""
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        head, data = {"refused": _as_words(error)}, b""
    out.write(json.dumps({**head, "bytes": len(data)}).encode() + b"\n" + data)
    out.flush()


def _as_words(error: BaseException) -> dict[str, Any]:
    if isinstance(error, MemoryError):
        return {"kind": "invalid", "message": "memory ran out; try a smaller file"}
    known = refusal(error if isinstance(error, Exception) else RuntimeError())
    return {"kind": known.kind, "message": known.message, "remedy": known.remedy}
