"""Arrays and a description in one file of the safetensors format, written atomically and read with suspicion.

The format: 8 bytes with the length of a JSON header, the header, the arrays' bytes.  The header maps names to dtype,
shape and offsets, and "__metadata__" to a flat dictionary of strings.  Nothing in it is ever executed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import reprlib
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, TypeAlias

import numpy as np

from .exceptions import ModelFileError
from .validation import Array, shown

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

Identity: TypeAlias = "tuple[int, int, int, int]"  # device, inode, time of the last change, size

DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
MAX_HEADER = 100_000_000
MAX_AXES = 8
CHECKSUM = "sha256"
OLD = 3600  # seconds
MALFORMED = (  # what may come of a description that lies
    KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError,
)  # fmt: skip


def write(path: Any, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> Identity:
    """Writes the file beside its place and moves it there: at any moment the old file or the new one is whole.

    A symbolic link stays one: what it points to is replaced.  The arrays are read twice, for the checksum and for the
    file: what another thread may change meanwhile is to be given as a copy.
    """
    path = _place(file_path(path))
    blocks = [np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for array in arrays.values()]
    header = _header(arrays, blocks, metadata)
    mode = _mode_of(path)
    at_first = 0o666 if mode is None else 0o600  # less what the process masks, as for any new file
    with _naming(path), _beside(path, at_first) as (file, temporary):
        with file:
            file.write(len(header).to_bytes(8, "little"))
            file.write(header)
            for block in blocks:
                file.write(block.data)
            file.flush()
            os.fsync(file.fileno())
            written = _identity(os.fstat(file.fileno()))
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, path)
    _sync_folder(os.path.dirname(path))
    return written


@contextlib.contextmanager
def _beside(path: str, mode: int) -> Iterator[tuple[Any, str]]:
    """A new file in the path's folder, and its name, under a lock until the end; an error removes it."""
    folder, name = os.path.split(path)
    while True:
        temporary = os.path.join(folder, f"{_stem(name)}{secrets.token_hex(8)}.part")
        try:
            with (
                open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file,
                _locked(file.fileno()),
            ):
                if os.path.exists(temporary):  # else a sweep was quicker than the lock
                    yield file, temporary
                    return
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def sweep(path: str) -> None:
    """Removes what writes to this path that were killed have left beside it; what is being written has a lock."""
    folder, name = os.path.split(os.path.realpath(path))
    left = re.compile(re.escape(_stem(name)) + r"[0-9a-f]{16}\.part")
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):
            if left.fullmatch(entry):
                _remove_if_left(os.path.join(folder, entry))


def _stem(name: str) -> str:
    """How a file begins that is to become the one of this name: what fits of it for the eye, and a digest of all."""
    return f".{name[:32]}.{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}."


@contextlib.contextmanager
def _locked(handle: int) -> Iterator[None]:
    """Holds a lock on an open file until the end, be it that of the process, whether the handle is closed or not."""
    if fcntl is None:
        yield
        return
    twin = os.dup(handle)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(twin, fcntl.LOCK_EX)
        yield
    finally:
        os.close(twin)


def _remove_if_left(path: str) -> None:
    """Unless somebody holds a lock on it; where there are no locks, if it is old."""
    with contextlib.suppress(OSError):
        if fcntl is None:
            _remove_if_old(path)
            return
        handle = _open_at_once(path, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        except (BlockingIOError, PermissionError):
            pass  # somebody holds one, in either of the system's words
        except OSError:  # a file system without locks
            _remove_if_old(path)
        finally:
            os.close(handle)


def _remove_if_old(path: str) -> None:
    if time.time() - os.stat(path).st_mtime > OLD:
        os.unlink(path)


def identity(path: str) -> Identity | None:
    """What changes where a file is written anew; None where there is none."""
    try:
        return _identity(os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def file_path(path: Any, name: str = "path") -> str:
    """A path as text, from text, bytes or what os.fspath takes."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise TypeError(f"{name}={shown(path)}: expected a str, bytes or os.PathLike") from None
    if "\0" in text:
        raise ValueError(f"{name}={shown(path)}: expected no null character")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError(f"{name}={shown(path)}: expected characters that file names can have") from None
    return text


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """The system's errors name this file, not none and not a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, path) from error


def absolute(path: str) -> str:
    """Where a path points to now, wherever the process goes."""
    with _naming(path):
        return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)


def _place(path: str) -> str:
    """Where a file is to be written, past any symbolic links; refuses what must not become a file."""
    with _naming(path):
        os.stat(os.path.dirname(path) or os.curdir)  # as a/../b is refused where there is no a, which realpath forgets
        place = os.path.realpath(path)
    if os.path.islink(place):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    if path.endswith(("/", os.sep)):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), _naming(path):
        _refuse_what_is_no_file(place, os.stat(place).st_mode)
    return place


def _refuse_what_is_no_file(path: str, mode: int) -> None:
    """A folder cannot be replaced by a file, a device or a pipe must not be, and reading one may never end."""
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", path)


def _header(arrays: Mapping[str, Array], blocks: list[Array], metadata: Mapping[str, str]) -> bytes:
    entries, start = {}, 0
    for name, block in zip(arrays, blocks, strict=True):
        entries[name] = {
            "dtype": DTYPE_NAMES[block.dtype],
            "shape": list(block.shape),
            "data_offsets": [start, start + block.nbytes],
        }
        start += block.nbytes
    checksum = _checksum(metadata, entries, blocks)
    text = json.dumps({"__metadata__": {**metadata, CHECKSUM: checksum}, **entries}, separators=(",", ":"))
    header = text.encode()
    return header + b" " * (-len(header) % 8)


def _checksum(metadata: Mapping[str, str], entries: Mapping[str, Any], blocks: Any) -> str:
    """Of everything in the file but the checksum itself."""
    described = json.dumps([dict(metadata), entries], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(described.encode())
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _mode_of(path: str) -> int | None:
    """The permissions of the file that is replaced."""
    with contextlib.suppress(OSError):
        return os.stat(path).st_mode & 0o777
    return None


def _sync_folder(folder: str) -> None:
    """Makes the move itself durable, where folders can be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(path: Any) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of a file, its checksum held.

    Raises
    ------
    OSError
        If the file cannot be read.
    ModelFileError
        If it is not what `write` writes, naming the file and what is wrong.
    """
    path = file_path(path)
    with _naming(path), open(path, "rb", opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        _refuse_what_is_no_file(path, status.st_mode)
        size = status.st_size
        header, start = _read_header(path, file, size)
        metadata = _metadata(path, header)
        _check_entries(path, header, size - start)
        content = _read_data(path, file, size - start)
    if len(content) != size - start:
        raise ModelFileError(path, "the file became shorter while it was read")
    if CHECKSUM not in metadata:
        raise ModelFileError(path, "its header has no checksum: not a model that cmlp saved")
    checksum = metadata.pop(CHECKSUM)
    if checksum != _checksum(metadata, header, [content]):
        raise ModelFileError(path, "its checksum does not match its content: the file was damaged or altered")
    return {name: _array(content, entry) for name, entry in header.items()}, metadata


def _open_at_once(path: str, flags: int) -> int:
    """Without waiting for somebody who writes into a pipe, or becoming a terminal's reader."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _read_data(path: str, file: Any, length: int) -> bytes:
    try:
        content: bytes = file.read(length)
    except MemoryError:
        raise MemoryError(f"cannot load {path!r}: its {length} bytes of data do not fit into memory") from None
    return content


def _read_header(path: str, file: Any, size: int) -> tuple[dict[str, Any], int]:
    prefix = file.read(8) or b""  # of a device that has nothing to give at the moment
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > min(size - 8, MAX_HEADER):
        raise ModelFileError(path, f"it is {size} bytes long and does not hold a header: truncated, or another format")
    content = file.read(length)
    try:
        header = json.loads(content.decode(), object_pairs_hook=_no_duplicates)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ModelFileError(path, f"its header is not JSON ({error}): damaged, or another format") from None
    if not isinstance(header, dict) or not content.rstrip(b" ").endswith(b"}"):
        raise ModelFileError(path, "its header is not a JSON object: damaged, or another format")
    return header, 8 + length


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _metadata(path: str, header: dict[str, Any]) -> dict[str, str]:
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ModelFileError(path, "its header has no metadata: not a model that cmlp saved")
    return metadata


def _check_entries(path: str, header: dict[str, Any], data: int) -> None:
    """The arrays follow one another from 0 to the end of the data, each as long as its shape says."""
    start = 0
    for name, entry in header.items():
        if not _is_entry(entry):
            problem = f"its header describes {shown(name)} as {reprlib.repr(entry)}: expected dtype, shape and offsets"
            raise ModelFileError(path, problem)
        end = start + prod(entry["shape"]) * DTYPES[entry["dtype"]].itemsize
        if entry["data_offsets"] != [start, end]:
            place = f"{shown(name)} lies at {shown(entry['data_offsets'])}"
            raise ModelFileError(path, f"{place}: expected [{start}, {end}] by its shape and place")
        start = end
    if start != data:
        raise ModelFileError(path, f"it holds {data} bytes of data, its header describes {start}: truncated or altered")


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        return False
    known = isinstance(entry["dtype"], str) and entry["dtype"] in DTYPES
    return known and _integers(entry["shape"], 1, MAX_AXES) and _integers(entry["data_offsets"], 0, 2)


def _integers(value: Any, low: int, most: int) -> bool:
    """Whether a value from JSON is a list of at most `most` integers within 63 bits, none below `low`."""
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(type(item) is int and low <= item < 2**63 for item in value)
    )


def _array(content: bytes, entry: dict[str, Any]) -> Array:
    dtype = DTYPES[entry["dtype"]]
    start = entry["data_offsets"][0]
    return np.frombuffer(content, dtype, prod(entry["shape"]), start).reshape(entry["shape"])
