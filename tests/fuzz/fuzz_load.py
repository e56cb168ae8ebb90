"""cmlp.load of bytes that a fuzzer makes: `python tests/fuzz/fuzz_load.py --seconds 300`."""

import pathlib

import drive

with drive.instrumented():
    from fuzz import judge, structures

PATH = pathlib.Path(judge.folder(), "m")


def one_input(content):
    judge.judged(content, PATH)


def mutate(content, source):
    return structures.mutated(content, source.randrange)


if __name__ == "__main__":
    drive.main(one_input, judge.seeds(), mutate)
