"""Processes of tests: several ranks of one training, or one that is killed. They start within a tenth of a second.

They are forked from a server that has imported everything and has no threads, instead of starting anew.
"""

import os
import pickle
import signal
import socket
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests._preloaded"])


class Rank:
    """A process that runs a function of a test module, and answers with what it returns.

    Args:
        function: Function at the top level of a test file; it and its arguments are pickled.
        arguments: Its arguments.
        environment: Variables that the process sees beside those of the server.
        output: File that takes what the process prints, or None to show it.
    """

    def __init__(
        self,
        function: Callable[..., object],
        arguments: tuple[object, ...] = (),
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
    ) -> None:
        self._answer, ours = PROCESSES.Pipe(duplex=False)
        self.process = PROCESSES.Process(
            target=_answer, args=(ours, function, arguments, {**_environment(), **(environment or {})}, output)
        )
        self.process.start()
        ours.close()

    def result(self, timeout: float = 60) -> object:
        """Return what the function returned; raise AssertionError with its traceback, also if it was killed."""
        late = not self._answer.poll(timeout)
        if late:
            self.kill()
        try:
            succeeded, value = pickle.loads(self._answer.recv_bytes())
        except EOFError:
            self.process.join()
            reason = f"did not answer in {timeout} s" if late else f"ended with code {self.process.exitcode}"
            raise AssertionError(f"The process {reason}.") from None
        self.process.join()
        assert succeeded, value
        return value

    def code(self, timeout: float = 60) -> int | None:
        """Wait for the end; return the exit code, minus the number of the signal that killed it, or None if late."""
        self.process.join(timeout)
        return self.process.exitcode

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid or 0, number)


def start_ranks(function: Callable[..., object], ranks: int, *arguments: object, **environment: str) -> list[Rank]:
    """Start the ranks of one training, as torchrun does; each calls `function(*arguments)`."""
    common = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
        **environment,
    }
    return [Rank(function, arguments, common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(ranks)]


def on_ranks(function: Callable[..., object], ranks: int, *arguments: object, timeout: float = 60) -> list[object]:
    """Call a function on each rank of a group that it or its Trainer sets up; return what they return."""
    started = start_ranks(function, ranks, *arguments)
    answers: list[object] = []
    errors: list[str] = []
    try:
        for number, rank in enumerate(started):
            try:
                answers.append(rank.result(timeout if not errors else 1))
            except AssertionError as error:
                # What goes wrong on one rank shows on the others as a connection that is lost.
                errors.append(f"Rank {number}: {error}")
    finally:
        for rank in started:
            rank.kill()
    assert not errors, "\n".join(errors)
    return answers


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def _environment() -> dict[str, str]:
    """Return the variables of this process, those of pytest left out; the server has older ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return kept | {"OMP_NUM_THREADS": "1"}


def _answer(
    answer: Connection,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    environment: Mapping[str, str],
    output: Path | None,
) -> None:
    import torch

    os.environ.clear()
    os.environ.update(environment)
    # A shell that runs the tests in the background lets them ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    torch.set_default_dtype(getattr(torch, environment.get("ABKD_TEST_DTYPE", "float32")))
    torch.manual_seed(0)
    if output is not None:
        _redirect(output)
    try:
        value = (True, function(*arguments))
    except BaseException:
        value = (False, traceback.format_exc())
        answer.send_bytes(pickle.dumps(value))
        raise
    answer.send_bytes(pickle.dumps(value))


def _redirect(output: Path) -> None:
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
