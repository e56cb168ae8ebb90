# shellcheck shell=bash
# What the scripts of this folder share; sourced by them.  A script names the target it works on, and its last words on
# it are one of `target: RUN (n passed)`, `target: BUILT, not run (reason)` and `target: FAILED (reason)`.
#
# What takes long is kept in $CMLP_CACHE (a folder cmlp of the user's cache), by what it was made from.
set -euo pipefail
shopt -s inherit_errexit
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CMLP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cmlp}
work=$(mktemp -d)
jobs=$(nproc)
python_here=$(command -v python3 || true)
target='' reason=''

finish() {
    local code=$?
    [ -z "$target" ] || { code=1; echo "$target: FAILED (${reason:-see above})"; }
    rm -rf "$work" || true # what it holds may still be in use
    exit $code
}
trap finish EXIT

begin() { target=$1; }
ran() { # how many tests passed, [what part of all they are]
    [ "${1:-0}" -gt 0 ] || fail "no test was run"
    echo "$target: RUN ($1 passed${2:+, $2})"
    target=''
}
built() { echo "$target: BUILT, not run ($1)"; target=''; }
fail() { reason=$*; exit 1; }

need() { # command, package of Debian
    command -v "$1" > /dev/null || fail "$1 is missing: install Debian's ${2:-package} or its like"
}

each() { # targets: the script once for each; its end is that of the worst
    local name code=0
    [ $# -gt 0 ] || { target=${0##*/}; fail "there is nothing to do it for"; }
    for name in "$@"; do "$0" "$name" || code=1; done
    exit $code
}

quietly() { # a command whose output matters only if it fails
    "$@" > "$work/log" 2>&1 || { tail -40 "$work/log"; return 1; }
}

passed() { grep -oE '[0-9]+ passed' "$1" | tail -1 | cut -d' ' -f1; } # by what pytest printed into a file

# ---- the cache ------------------------------------------------------------------------------------

alone() { # name: until the script ends, one process at a time
    local lock
    mkdir -p "$cache"
    exec {lock}> "$cache/$1.lock"
    flock "$lock"
}

declare -A locks

# `kept folder key... || { make it; whole folder; }`: the folder is made once for what its key says, by one process at a
# time, and is empty before.
kept() {
    local key fd
    mkdir -p "$(dirname "$1")"
    exec {fd}> "$1.lock"
    flock "$fd"
    key=$(cksum <<< "${*:2}")
    if [ "$key" = "$(cat "$1/complete" 2> /dev/null || true)" ]; then
        exec {fd}>&-
        return 0
    fi
    locks[$1]=$fd
    rm -rf "$1"
    mkdir -p "$1"
    echo "$key" > "$1/key"
    return 1
}
whole() {
    local fd=${locks[$1]}
    mv "$1/key" "$1/complete"
    exec {fd}>&-
}

# `keyed folder key...` is the path of a folder with its key in its name: of what two trees may want different at once.
# What nobody has asked for in a month goes.
keyed() {
    local lock
    mkdir -p "$(dirname "$1")"
    { find "$(dirname "$1")" -maxdepth 1 -name '*.lock' -mtime +30 2> /dev/null || true; } |
        while read -r lock; do rm -rf "${lock%.lock}" "$lock"; done
    echo "$1-$(cksum <<< "${*:2}" | cut -d' ' -f1)"
}

copy_source() { # folder: the tree without what was built in it
    mkdir -p "$1"
    tar -C "$home" --exclude='*.so' --exclude='*.pyd' --exclude=__pycache__ --exclude=.hypothesis \
        --exclude='*.egg-info' -cf - LICENSE MANIFEST.in {README,CHANGELOG,CONTRIBUTING,RELEASING}.md setup.py \
        pyproject.toml docs src tests bench tools .ci .github |
        tar -C "$1" -xf -
}

source_distribution() { # its path is $sdist then; `python` has setuptools, Cython and NumPy
    copy_source "$work/tree"
    (cd "$work/tree" && SOURCE_DATE_EPOCH=0 CMLP_BUILDS='' quietly python setup.py -q sdist) ||
        fail "the source distribution"
    sdist=$(echo "$work"/tree/dist/*.tar.gz)
}

sources() { # what the modules are compiled from, and how
    (cd "$home" && cat setup.py && find src -name '*.pyx' -o -name '*.h' | sort | xargs cat)
}

build_tree() { # name: the tree in $cache/name, to build in; of the last time it keeps Cython's C and nothing else
    local tree=$cache/$1 stamp
    alone "$1"
    stamp=$(sources | cat - <(python -m pip freeze) | cksum)
    if [ -e "$tree/build/cython" ] && [ "$stamp" = "$(cat "$tree/build/stamp")" ]; then
        mv "$tree/build/cython" "$work/cython"
    fi
    rm -rf "$tree"
    copy_source "$tree"
    mkdir "$tree/build"
    if [ -e "$work/cython" ]; then mv "$work/cython" "$tree/build/cython"; fi
    echo "$stamp" > "$tree/build/stamp"
    cd "$tree"
}

# ---- Python ---------------------------------------------------------------------------------------

constraints=$home/tools/constraints.txt
interpreter='import sys, sysconfig; print(sys._base_executable, sys.version, sysconfig.get_config_var("EXT_SUFFIX"))'

venv() { # name, requirements: for $PYTHON, into the cache, once, and again when $made_of changes; then on the PATH
    local folder kind
    kind=$("${PYTHON:-python3}" -c "$interpreter")
    folder=$(keyed "$cache/venvs/$1" "$kind" "${@:2}" "$(cat "$constraints")")
    shift
    kept "$folder" "${made_of:-}" || {
        "${PYTHON:-python3}" -m venv "$folder"
        quietly env -u _PYTHON_HOST_PLATFORM "$folder/bin/python" -m pip install --disable-pip-version-check \
            -c "$constraints" "$@" || fail "pip install $*" # for this platform, whatever is built for another
        whole "$folder"
    }
    PATH=$folder/bin:$PATH
}

# `python` has this tree's cmlp and what tests need: this interpreter, by whose compiled modules' times nothing has changed
# since, or one of the cache.
installed() { # [interpreter]
    if [ $# -gt 0 ]; then
        need "$1" python3
        mkdir -p "$work/bin"
        printf '#!/bin/sh\nexec "%s" "$@"\n' "$(command -v "$1")" > "$work/bin/python"
        chmod +x "$work/bin/python"
        PATH=$work/bin:$PATH
    else
        alone installed
        copy_source "$work/source"
        cd "$work/source"
        made_of=$(find setup.py pyproject.toml src -type f | sort | xargs cat | cksum) \
            venv "installed${CFLAGS:+-$(cksum <<< "$CFLAGS" | cut -d' ' -f1)}" '.[test]'
        cd "$home"
    fi
    (cd / && python - "$home" "$@") << 'CHECK' || fail "$(command -v python) has not this tree's cmlp, installed"
import pathlib, sys
import cmlp
here, home = pathlib.Path(cmlp.__file__).parent, pathlib.Path(sys.argv[1])
tree = home / "src/cmlp"
assert here.parent.name.endswith("-packages")
assert all((here / path.relative_to(tree)).read_bytes() == path.read_bytes() for path in tree.rglob("*.py"))
if len(sys.argv) > 2:
    compiled = [path for path in here.glob("kernels/_*") if path.suffix in (".so", ".pyd")]
    sources = [home / "setup.py", *tree.glob("kernels/*.pyx"), *tree.glob("kernels/*.h")]
    assert min(path.stat().st_mtime for path in compiled) >= max(path.stat().st_mtime for path in sources)
CHECK
}

contents() { # [--builds instruction sets], wheels: nothing is wrong with what they hold
    local before=$PATH
    PYTHON=$python_here venv contents lief
    python "$home/tools/wheel_contents.py" "$@" || fail "what $* hold"
    PATH=$before
}

build_python() { # prefix, arguments of configure: CPython from Debian's source
    local prefix=$1
    source_of cpython3.13 trixie python3.13
    need make make
    mkdir "$work/build"
    cd "$work/build"
    quietly "$cache/cpython3.13/configure" --prefix="$prefix" --without-ensurepip "${@:2}"
    quietly make -s -j"$jobs"
    quietly make -s altinstall
}

# ---- Debian's packages ----------------------------------------------------------------------------

find_mirror() { # `mirror`, of Debian, by apt's own sources, whether or not it has read them
    need apt-get apt
    mirror=$(apt-get update --print-uris 2> /dev/null | sed -nE "s|^'(.*/debian/?)/dists/.*|\\1|p" | sed -n 1p)
    [ -n "$mirror" ] || fail "apt's sources name no mirror of Debian"
}

release_here() { (. /etc/os-release && echo "${VERSION_CODENAME:-}"); } # of Debian

apt_of() { # release, architecture: `apt`, one of its own over the system's mirror, which knows nothing as installed
    local root=$work/apt-$1-$2 mirror
    find_mirror
    mkdir -p "$root"/{lists,cache/archives}/partial
    for kind in deb deb-src; do
        echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main"
    done > "$root/sources.list"
    touch "$root/status"
    apt=(apt-get -qq -o Dir::Etc::SourceList="$root/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists="$root/lists" -o Dir::State::status="$root/status" -o Dir::Cache="$root/cache"
        -o APT::Architecture="$2" -o APT::Architectures="$2" -o APT::Sandbox::User="$(id -un)"
        -o APT::Install-Recommends=false)
    quietly "${apt[@]}" update
}

debs() { # name, release, architecture, packages: these and what they depend on, unpacked into $cache/name, once
    local folder=$cache/$1 release=$2 architecture=$3 deb
    kept "$folder" "${@:2}" && return
    apt_of "$release" "$architecture"
    quietly "${apt[@]}" install --download-only --yes "${@:4}"
    for deb in "$work/apt-$release-$architecture"/cache/archives/*.deb; do dpkg -x "$deb" "$folder"; done
    whole "$folder"
}

arm_python() { # CPython 3.11 for 64-bit ARM in $cache/python-arm64; -I of its headers, and none else, in $arm_include
    local root=$cache/python-arm64/usr/include headers=$work/arm-include version=python3.11 # of Debian bookworm
    debs python-arm64 bookworm arm64 $version lib$version-dev libstdc++6
    mkdir -p "$headers/aarch64-linux-gnu"
    ln -s "$root/$version" "$headers"
    ln -s "$root/aarch64-linux-gnu/$version" "$headers/aarch64-linux-gnu"
    arm_include=(-I"$headers/$version" -I"$headers")
}

source_of() { # name, release, source package: its original source in $cache/name, once
    local folder=$cache/$1 release=$2 package=$3
    kept "$folder" "${@:2}" && return
    apt_of "$release" "$(dpkg --print-architecture)"
    (cd "$work" && quietly "${apt[@]}" source --download-only --tar-only "$package")
    tar --extract --file "$(echo "$work/${package}"_*.orig.tar.*z)" --directory "$folder" --strip-components 1
    whole "$folder"
}

# ---- emulators ------------------------------------------------------------------------------------

# An interpreter under an emulator, $work/name/bin/python.  It is sys.executable there, so that the processes that tests
# start run under the emulator as well.
emulated() { # name, interpreter, folders of packages (a:b), emulator and its arguments
    local env=$work/$1 python=$2 packages=$3
    shift 3
    mkdir -p "$env/bin" "$env/lib/$(basename "$python")/site-packages"
    echo "home = $(dirname "$python")" > "$env/pyvenv.cfg"
    tr : '\n' <<< "$packages" > "$env/lib/$(basename "$python")/site-packages/emulated.pth"
    printf '#!/bin/sh\nexec %s -0 "$0" "%s" "$@"\n' "$(printf '"%s" ' "$@")" "$python" > "$env/bin/python"
    chmod +x "$env/bin/python"
}
