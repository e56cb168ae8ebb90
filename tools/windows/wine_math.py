"""Turns modules for Windows, in place, from the system's mathematics to a DLL that completes Wine's.

wine_math.py folder file.def      writes what that DLL has to export, most of it forwarded to the system's
"""

import re
import sys
from pathlib import Path

import pefile

SYSTEM, OURS = b"api-ms-win-crt-math-l1-1-0.dll", b"cmlp-wine-shim-math-l1-1-0.dll"  # of one length
MISSING = re.compile(r"c(real|imag)[fl]?|exp2")  # wine_math.c has them


def imported(path: Path) -> set[str]:
    """Names that the module takes from the system's mathematics."""
    module = pefile.PE(str(path), fast_load=True)
    module.parse_data_directories([pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_IMPORT"]])
    libraries = getattr(module, "DIRECTORY_ENTRY_IMPORT", [])
    return {entry.name.decode() for library in libraries if library.dll == SYSTEM for entry in library.imports}


folder, definitions = map(Path, sys.argv[1:])
names = set()
for path in (*folder.rglob("*.pyd"), *folder.rglob("*.dll")):
    found = imported(path)
    names |= found
    if found:
        path.write_bytes(path.read_bytes().replace(SYSTEM, OURS))
lines = [f"{name} = {'wine_' if MISSING.fullmatch(name) else 'ucrtbase.'}{name}" for name in sorted(names)]
definitions.write_text("\n".join([f"LIBRARY {OURS.decode()}", "EXPORTS", *lines, ""]))
