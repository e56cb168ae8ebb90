"""Runs the cases of the hostile_*.py tables where a crash or a hang is a result: one process each.

`python isolated.py MODULE...` is a server: it imports the tables once, reads names of cases and answers each with a
line of JSON.  Where the platform has fork a case is run by a child of the server, else by the server itself, which is
started anew after a crash.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SECONDS = 20  # for a case; the slowest takes less than one
START = 120  # for the server's imports
FORKS = hasattr(os, "fork")


# ---- the server --------------------------------------------------------------------------------------


def outcome_of(case):
    """What is wrong with what a case does, "" for nothing."""
    try:
        return case.problem()
    except BaseException:  # SystemExit and KeyboardInterrupt too: no case may end the server
        return traceback.format_exc()


def forked(case, errors):
    """The outcome of a child, which may end in any way."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        faulthandler.enable(errors)
        signal.alarm(3 * SECONDS)  # where nobody is left to end it
        with os.fdopen(writer, "w", encoding="utf-8") as pipe:
            pipe.write("." + outcome_of(case))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0 and answer:
        return answer[1:]
    errors.seek(0)
    how = signal.Signals(-status).name if status < 0 else f"exit code {status}"
    return f"crashed: {how}\n{errors.read()}"


def serve(modules):
    """Answers on what was the standard output, which is then for nobody: cases may print."""
    cases = {case.name: case for module in modules for case in importlib.import_module(module).CASES}
    importlib.import_module("hostile").warm_up()  # once, not in every child
    gc.freeze()  # or every child's collector would copy all that is shared
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        case = cases[json.loads(line)]
        with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
            answers.write(json.dumps(forked(case, errors) if FORKS else outcome_of(case)) + "\n")
        answers.flush()


# ---- its caller --------------------------------------------------------------------------------------


class Server:
    """One process that answers on cases by name; for one caller at a time."""

    def __init__(self, modules):
        self.modules = modules
        self.process = None

    def problem_of(self, name, seconds=SECONDS):
        """What is wrong with the case, "" for nothing."""
        if self.process is None:
            self._start()
        try:
            self.process.stdin.write(json.dumps(name) + "\n")
            self.process.stdin.flush()
        except OSError:
            self.stop()
            return "crashed: the process was gone"
        answer = self._answer(seconds)
        if answer:
            return json.loads(answer)
        code = self.process.poll()
        self.stop()
        return f"crashed: exit code {code}" if answer == "" else f"hung: no answer after {seconds} seconds"

    def _start(self):
        here = Path(__file__).resolve()
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", str(here), *self.modules], cwd=here.parent, text=True,
            encoding="utf-8", stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.answers = queue.Queue()
        threading.Thread(target=self._read, args=(self.process.stdout, self.answers), daemon=True).start()
        ready = self._answer(START)
        if ready != "ready\n":
            self.stop()
            raise RuntimeError(f"the tables {self.modules} could not be imported")

    def _read(self, stream, answers):
        for line in stream:
            answers.put(line)
        answers.put("")

    def _answer(self, seconds):
        """A line, "" where the process has ended, None where it takes too long."""
        try:
            return self.answers.get(timeout=seconds)
        except queue.Empty:
            return None

    def stop(self):
        """The server and the child that may hang."""
        if self.process is None:
            return
        if FORKS:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process = None


class Servers:
    """As many servers as there are threads of this pool, which begin on all names at once."""

    def __init__(self, modules, names, servers=2):
        self.modules, self.servers, self.mine = modules, [], threading.local()
        self.pool = ThreadPoolExecutor(servers)
        self.problems = {name: self.pool.submit(self._problem_of, name) for name in names}

    def problem_of(self, name):
        return self.problems[name].result()

    def _problem_of(self, name):
        if not hasattr(self.mine, "server"):
            self.mine.server = Server(self.modules)
            self.servers.append(self.mine.server)
        return self.mine.server.problem_of(name)

    def stop(self):
        self.pool.shutdown(cancel_futures=True)
        for server in self.servers:
            server.stop()


if __name__ == "__main__":
    serve(sys.argv[1:])
