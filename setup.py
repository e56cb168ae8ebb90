"""Builds the kernels once per instruction set and precision; everything else is in pyproject.toml."""

import gzip
import os
import platform
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import time

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

KERNELS = "src/cmlp/kernels"

# The builds for each processor, and what they ask of GCC and Clang.  Every 64-bit ARM has NEON.
BUILDS = {
    "x86_64": {
        "baseline": ["-march=x86-64"],  # what is common to all, lest a -march in $CFLAGS holds
        "avx2": ["-march=x86-64-v3"],
        "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    },
    "arm64": {"neon": []},
}
ONE = {"baseline": []}  # of other processors, and of cl.exe, which lacks vector types and makes plain loops
MACHINES = {"amd64": "x86_64", "aarch64": "arm64"}
# The subsets of x86-64-v3 and -v4 for compilers that do not know these names, as GCC below 11.
V3 = (
    "-march=x86-64 -msse3 -mssse3 -msse4.1 -msse4.2 -mpopcnt -mcx16 -msahf -mxsave -mavx -mavx2 -mfma -mf16c -mbmi"
    " -mbmi2 -mlzcnt -mmovbe"
)
V4 = f"{V3} -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl"
SPELLED_OUT = {"-march=x86-64-v3": V3.split(), "-march=x86-64-v4": V4.split()}
# In $CFLAGS these would hold beside a later -march: AVX in the module that asks the processor what it has.
SUBSET = re.compile("-m(no-)?(3dnow|abm|apx|avx|bmi|f16c|fma|lzcnt|movbe|popcnt|sse|ssse|tbm|xop)")
PRECISIONS = {"f32": 0, "f64": 1}

# a * b + c may be rounded once, and errno and traps are left out; nothing lets the compiler assume that
# there is no NaN or infinity, or change the order of a sum.
CFLAGS = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden", "-g0"]
CL_FLAGS = ["/O2", "/fp:precise"]

# Symbols are left out.  Apple's linker has no -s any more.
LINK_FLAGS = {"linux": ["-Wl,-s"], "macosx": ["-Wl,-x"]}

# On Windows $CC may name clang-cl (and $LD a linker, lld-link say); wheels are built so.
COMPILER = os.environ.get("CC", "")
CLANG_CL = "clang-cl" in COMPILER

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
}


def target_platform():
    """The platform tag, which cross-compiling sets; of a macOS for two processors the one at hand."""
    name = sysconfig.get_platform()
    if name.endswith("universal2"):  # each has flags of its own, and a wheel is for one
        name = os.environ["_PYTHON_HOST_PLATFORM"] = name.replace("universal2", platform.machine())
        os.environ["ARCHFLAGS"] = f"-arch {platform.machine()}"
    return name


def target_machine():
    """The processor built for, by the platform tag."""
    machine = target_platform().replace("-", "_").lower()
    for name in (*MACHINES, *BUILDS):
        if name in machine:
            return MACHINES.get(name, name)
    return MACHINES.get(platform.machine().lower(), platform.machine().lower())


def builds():
    """What each build asks of the compiler, the least of them first."""
    system, left_out = target_platform().lower(), ()
    if sys.maxsize < 2**32 or (system.startswith("win") and not CLANG_CL):  # the tag may be the kernel's, of 64 bits
        return ONE
    if system.startswith("macosx"):  # see cpu.h: it would never be chosen
        left_out = ("avx512",)
    elif system.startswith("mingw") and "llvm" not in system:  # see simd.h: GCC cannot
        left_out = ("avx2", "avx512")
    return {isa: flags for isa, flags in BUILDS.get(target_machine(), ONE).items() if isa not in left_out}


def extension(name, flags=(), macros=()):
    return Extension(
        f"cmlp.kernels.{name}",
        [f"{KERNELS}/{name}.pyx"],
        include_dirs=[KERNELS, numpy.get_include()],
        # NDEBUG, which $CFLAGS would take away: assertions of Python's headers hold paths of this machine.
        define_macros=[("NDEBUG", None), ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), *macros],
        extra_compile_args=list(flags),
    )


def extensions():
    flags = builds()
    wanted = os.environ.get("CMLP_BUILDS", " ".join(flags)).split()
    kernels = [
        extension(f"_{isa}_{precision}", flags[isa], [("CMLP_DOUBLE", double)])
        for isa in flags
        for precision, double in PRECISIONS.items()
        if isa in wanted
    ]
    least = next(iter(flags.values()))
    return [extension("_cpu", least), extension("_call", least), *kernels]


def without_subsets(flags):
    return [flag for flag in flags if not SUBSET.match(flag)]


class BuildExt(build_ext):
    """Flags by compiler, and the modules in parallel.

    Of flags that contradict each other $CFLAGS hold against ours, and against $CFLAGS a module's instruction set.
    """

    def build_extensions(self):
        msvc = self.compiler.compiler_type == "msvc"
        if msvc and not self.compiler.initialized:  # before there are threads, each of which would
            self.compiler.initialize(self.plat_name)
        if msvc and CLANG_CL:
            self.use_clang_cl()
        asked = shlex.split(os.environ.get("CFLAGS", ""))
        if any(ext.extra_compile_args for ext in self.extensions):
            asked = without_subsets(asked)
            if not msvc:  # setuptools has made $CFLAGS a part of the command
                self.compiler.compiler_so = without_subsets(self.compiler.compiler_so)
        for ext in self.extensions:
            flags = (CL_FLAGS if msvc and not CLANG_CL else CFLAGS) + asked + self.known(ext.extra_compile_args)
            ext.extra_compile_args = [("/clang:" if msvc and CLANG_CL else "") + flag for flag in flags]
            if "-g" not in asked:
                ext.extra_link_args = LINK_FLAGS.get(target_platform().split("-")[0], [])
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()

    def known(self, flags):
        """In words that the compiler knows."""
        if not SPELLED_OUT.keys() & set(flags) or self.compiler.compiler_type == "msvc":
            return flags
        preprocess = [*self.compiler.compiler_so, *flags, "-E", "-x", "c", os.devnull]
        try:
            refused = subprocess.run(preprocess, capture_output=True).returncode
        except OSError:  # there is none, as the build will say
            return flags
        return [part for flag in flags for part in SPELLED_OUT.get(flag, [flag])] if refused else flags

    def use_clang_cl(self):
        """In cl.exe's place; it has no /GL, which needs /LTCG of the linker."""
        self.compiler.cc = COMPILER
        processor = {"arm64": "aarch64"}.get(target_machine(), target_machine())
        self.compiler.compile_options.append(f"--target={processor}-pc-windows-msvc")  # its own may be another
        self.compiler.linker = os.environ.get("LD", self.compiler.linker)
        for options in (self.compiler.compile_options, self.compiler.ldflags_shared):
            options[:] = [option for option in options if option not in ("/GL", "/LTCG")]


class Sdist(sdist):
    """The same archive from the same files: nobody's, and of the time in $SOURCE_DATE_EPOCH."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **owner):
        epoch = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))

        def plain(member):
            member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
            member.mtime, member.mode = epoch, 0o755 if member.mode & 0o100 else 0o644
            return member

        name = f"{base_name}.tar.gz"
        self.mkpath(os.path.dirname(name))
        with (
            open(name, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as zipped,
            tarfile.open(fileobj=zipped, mode="w") as tar,
        ):
            tar.add(base_dir, filter=plain)
        return name


setup(
    ext_modules=cythonize(extensions(), build_dir="build/cython", compiler_directives=DIRECTIVES),
    cmdclass={"build_ext": BuildExt, "sdist": Sdist},
)
