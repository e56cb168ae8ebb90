"""Trainings that go on from bytes that a fuzzer makes: `python tests/fuzz/fuzz_checkpoints.py --seconds 300`."""

import pathlib

import drive

with drive.instrumented():
    from fuzz import judge, structures

PATH = pathlib.Path(judge.folder(), "c")


def one_input(content):
    judge.resumed(content, PATH)


def mutate(content, source):
    return content[:1] + structures.mutated(content[1:], source.randrange)


if __name__ == "__main__":
    drive.main(one_input, judge.checkpoints(), mutate)
