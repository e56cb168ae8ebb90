"""What the scripts of tools/ share: how they end, and what they keep in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cmlp

HOME = Path(__file__).resolve().parents[1]
scripts = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("bash") or not shutil.which("flock"), reason="needs bash and flock"
)


def run(lines, cache):
    """A script of tools/ with these lines."""
    return subprocess.run(
        ["bash", "-c", f'. "{HOME}/tools/common.sh"\n{lines}'],
        env={**os.environ, "CMLP_CACHE": str(cache)},
        capture_output=True,
        text=True,
    )


@scripts
@pytest.mark.parametrize(
    ("lines", "said", "code"),
    [
        ("begin it; ran 3", "it: RUN (3 passed)\n", 0),
        ("begin it; built 'no machine'", "it: BUILT, not run (no machine)\n", 0),
        ("begin it; ran 0", "it: FAILED (no test was run)\n", 1),
        ("begin it; false", "it: FAILED (see above)\n", 1),
        ("begin it", "it: FAILED (see above)\n", 1),
        ("begin it; exit 0", "it: FAILED (see above)\n", 1),
    ],
)
def test_a_script_that_says_failed_fails(lines, said, code, tmp_path):
    done = run(lines, tmp_path)
    assert (done.stdout, done.returncode) == (said, code)


@scripts
def test_what_is_kept_for_one_key_stays_while_there_is_another(tmp_path):
    make = 'folder=$(keyed "$cache/x" {0}); kept "$folder" || {{ echo {0} > "$folder/made"; whole "$folder"; }}'
    done = run(f'{make.format(1)}; first=$folder; {make.format(2)}; cat "$first/made" "$folder/made"', tmp_path)
    assert (done.stdout, done.returncode) == ("1\n2\n", 0), done.stderr


@scripts
def test_what_nobody_has_asked_for_in_a_month_goes(tmp_path):
    month = time.time() - 32 * 24 * 3600
    for name in ("old", "used", "new"):
        (tmp_path / "venvs" / name).mkdir(parents=True)
        (tmp_path / "venvs" / f"{name}.lock").touch()
    for name in ("old", "used"):
        os.utime(tmp_path / "venvs" / f"{name}.lock", (month, month))
    done = run('kept "$cache/venvs/used" || whole "$cache/venvs/used"; keyed "$cache/venvs/x" 1 > /dev/null', tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "venvs").iterdir()) == ["new", "new.lock", "used", "used.lock"]


@scripts
def test_the_copy_of_the_tree_is_without_what_was_built(tmp_path):
    left_over = HOME / "src" / "left_over.egg-info"
    left_over.mkdir(exist_ok=True)
    try:
        done = run(f'copy_source "{tmp_path}/copy"', tmp_path)
    finally:
        left_over.rmdir()
    assert done.returncode == 0, done.stderr
    copied = {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*")}
    assert {"setup.py", "src/cmlp/__init__.py", "tools/common.sh", ".ci/run", ".github/dependabot.yml"} <= copied
    assert [name for name in copied if name.endswith((".egg-info", ".so"))] == []


@scripts
@pytest.mark.parametrize(("changed", "code"), [(0, 0), (3600, 1)])
def test_an_installation_that_is_older_than_the_sources(changed, code, tmp_path):
    package = tmp_path / "site-packages" / "cmlp"
    shutil.copytree(Path(cmlp.__file__).parent, package)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{package.parent}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    kernels = HOME / "src/cmlp/kernels"
    sources = [HOME / "setup.py", *kernels.glob("*.pyx"), *kernels.glob("*.h")]  # without what was built in place
    newest = max(path.stat().st_mtime for path in sources)
    for path in (package / "kernels").iterdir():
        os.utime(path, (newest - changed, newest - changed))
    done = run(f'installed "{python}"', tmp_path)
    assert done.returncode == code, done.stderr


def test_each_linter_is_of_one_version():
    lint = re.search(r"^lint = \[(.*)\]$", (HOME / "pyproject.toml").read_text(), re.M)[1]
    pinned = re.findall(r"^([\w-]+)==", (HOME / "tools" / "constraints.txt").read_text(), re.M)
    assert set(re.findall(r'"([\w-]+)', lint)) <= set(pinned)
