# What the scripts of this folder share; sourced by them.  A script names the target it works on, and its last words on it
# are one of `target: RUN (n passed)`, `target: BUILT, not run (reason)` and `target: FAILED (reason)`.
set -euo pipefail
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CMLP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cmlp}
work=$(mktemp -d)
jobs=${CMLP_JOBS:-$(nproc)}
target='' reason=''
trap 'code=$?; rm -rf "$work"; [ -z "$target" ] || echo "$target: FAILED (${reason:-see above})"; exit $code' EXIT

begin() { target=$1; }
ran() { # how many tests passed
    [ "${1:-0}" -gt 0 ] || fail "no test was run"
    echo "$target: RUN ($1 passed)"
    target=''
}
built() { echo "$target: BUILT, not run ($1)"; target=''; }
fail() { reason=$*; exit 1; }

need() { # command, package of Debian
    command -v "$1" > /dev/null || fail "$1 is missing: install Debian's $2 or its like"
}

each() { # targets: the script once for each; its end is that of the worst
    local name code=0
    for name in "$@"; do "$0" "$name" || code=1; done
    exit $code
}

quietly() { # a command whose output matters only if it fails
    "$@" > "$work/log" 2>&1 || { tail -40 "$work/log"; return 1; }
}

passed() { grep -oE '[0-9]+ passed' "$1" | tail -1 | cut -d' ' -f1; } # by what pytest printed into a file

copy_source() { # folder: the tree without what was built in it
    mkdir -p "$1"
    tar -C "$home" --exclude='*.so' --exclude='*.pyd' --exclude=__pycache__ -cf - setup.py pyproject.toml README.md \
        LICENSE CHANGELOG.md CONTRIBUTING.md RELEASING.md MANIFEST.in docs src tests bench tools .ci | tar -C "$1" -xf -
}

build_tree() { # name: the tree in $cache/name, to build in; of the last time it keeps Cython's C and nothing else
    local cython=$cache/$1/build/cython kept=$work/cython
    [ ! -e "$cython" ] || mv "$cython" "$kept"
    rm -rf "${cache:?}/$1"
    copy_source "$cache/$1"
    mkdir "$cache/$1/build"
    [ ! -e "$kept" ] || mv "$kept" "$cython"
    cd "$cache/$1"
}

venv() { # name, requirements: into the cache, once; then on the PATH
    local name=$1 folder
    shift
    folder=$cache/venvs/$name-$(echo "$(${PYTHON:-python3} -V)" "$@" | cksum | cut -d' ' -f1)
    if [ ! -e "$folder/complete" ]; then
        rm -rf "$folder"
        "${PYTHON:-python3}" -m venv "$folder"
        quietly "$folder/bin/python" -m pip install --disable-pip-version-check "$@"
        touch "$folder/complete"
    fi
    PATH=$folder/bin:$PATH
}

find_mirror() { # `mirror`, of Debian, by apt's own sources, whether or not it has read them
    need apt-get apt
    mirror=$(apt-get update --print-uris 2> /dev/null | sed -nE "s|^'(.*/debian/?)/dists/.*|\\1|p" | sed -n 1p)
    [ -n "$mirror" ] || fail "apt's sources name no mirror of Debian"
}

# An apt of its own, over the system's mirror: `apt`, for a release and an architecture of Debian.  Without the third
# argument it knows nothing as installed.
apt_of() { # release, architecture, [dpkg's status file]
    local root=$work/apt-$1-$2 mirror
    find_mirror
    mkdir -p "$root"/{lists,cache/archives}/partial
    for kind in deb deb-src; do
        echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main"
    done > "$root/sources.list"
    touch "$root/status"
    apt=(apt-get -qq -o Dir::Etc::SourceList="$root/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists="$root/lists" -o Dir::State::status="${3:-$root/status}" -o Dir::Cache="$root/cache"
        -o APT::Architecture="$2" -o APT::Architectures="$2" -o APT::Sandbox::User="$(id -un)"
        -o APT::Install-Recommends=false)
    quietly "${apt[@]}" update
}

debs() { # name, release, architecture, packages: these and what they depend on, unpacked into $cache/name, once
    local folder=$cache/$1 release=$2 architecture=$3 deb
    shift 3
    [ -e "$folder/complete" ] && return
    apt_of "$release" "$architecture"
    quietly "${apt[@]}" install --download-only --yes "$@"
    rm -rf "$folder" && mkdir -p "$folder"
    for deb in "$work/apt-$release-$architecture"/cache/archives/*.deb; do dpkg -x "$deb" "$folder"; done
    touch "$folder/complete"
}

source_of() { # name, release, source package: its original source in $cache/name, once
    local folder=$cache/$1 release=$2 package=$3
    [ -e "$folder/complete" ] && return
    apt_of "$release" "$(dpkg --print-architecture)"
    (cd "$work" && quietly "${apt[@]}" source --download-only --tar-only "$package")
    rm -rf "$folder" && mkdir -p "$folder"
    tar --extract --file "$(echo "$work/${package}"_*.orig.tar.*z)" --directory "$folder" --strip-components 1
    touch "$folder/complete"
}

installed() { # [interpreter]: `python` has this tree's cmlp and what its tests need: this interpreter, or one of the cache
    local sources
    if [ $# -gt 0 ]; then PATH=$(dirname "$(command -v "$1")"):$PATH && return; fi
    sources=$(cd "$home" && find setup.py pyproject.toml src -name '*.py' -o -name '*.pyx' -o -name '*.h' -o -name '*.toml' |
        sort | (cd "$home" && xargs cat) | cksum | cut -d' ' -f1)
    compgen -G "$cache/venvs/cmlp-$sources-*" > /dev/null || rm -rf "$cache"/venvs/cmlp-*
    copy_source "$work/source"
    cd "$work/source" && venv "cmlp-$sources" '.[test]' && cd "$home"
}

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
