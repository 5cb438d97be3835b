#!/usr/bin/env bash
# Sets up what the Makefile's targets need.
#
#   tools/setup.sh packages [GROUP ...]   Debian packages: test, fuzz, bench, lint
#   tools/setup.sh venv DIR [PYTHON]      what a build needs (packages, a Python), then a virtual environment in DIR with
#                                         tornadoc's dependencies and tornadoc itself, linked to this tree, not yet compiled
#   tools/setup.sh testsuite PYTHON       CPython's own tests, where Debian's Python lacks them; without them tests/suite skips
#
# Packages are installed with apt-get, as root or through sudo, and only those that are missing. Without the rights, or
# without apt-get, the message names them.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()

need() { # PACKAGE COMMAND...: the package, if the command fails
    local package=$1
    shift
    if ! "$@" >/dev/null 2>&1; then missing+=("$package"); fi
}

compiles() { # HEADER
    printf '#include <%s>\nint main(void) { return 0; }\n' "$1" | gcc -x c -fsyntax-only -
}

has_http_parser() {
    compiles http_parser.h && [ "$(gcc -print-file-name=libhttp_parser.a)" != libhttp_parser.a ]
}

has_fuzzer() {
    local status=0 program
    program=$(mktemp)
    echo 'int LLVMFuzzerTestOneInput(const void *d, unsigned long n) { return d == 0 && n; }' |
        clang -fsanitize=fuzzer,address -x c -o "$program" - || status=$?
    rm -f "$program"
    return $status
}

need_python() { # PYTHON: for a build in a virtual environment; Debian splits these off, others have them
    local prefix=python3
    case "$("$1" -I -c 'import sys; print("%s %d.%d" % ((sys.base_prefix,) + sys.version_info[:2]))')" in
    "/usr "*)
        # The default python3 has packages without a number.
        if [ "$(readlink -f /usr/bin/python3)" != "$(readlink -f "$1")" ]; then
            prefix=python$("$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fi
        need "$prefix-venv" "$1" -I -c 'import ensurepip, venv'
        need "$prefix-dev" "$1" -I -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'
        ;;
    esac
}

install_missing() {
    if [ ${#missing[@]} -eq 0 ]; then return; fi
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo)
        # Nobody is there to type a password.
        if [ ! -t 0 ]; then as_root+=(-n); fi
    fi
    if ! command -v apt-get >/dev/null; then
        echo "These Debian packages, or what this system calls them, are needed: ${missing[*]}" >&2
        exit 1
    fi
    if [ ${#as_root[@]} -ne 0 ] && ! { command -v sudo >/dev/null && "${as_root[@]}" true; }; then
        echo "These packages are needed, and installing them takes root's rights:" >&2
        echo "    apt-get install ${missing[*]}" >&2
        exit 1
    fi
    echo "Installing: ${missing[*]}"
    # The package lists of a new machine are empty or old; those of others may do.
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends)
    if ! "${as_root[@]}" "${install[@]}" "${missing[@]}" >/dev/null 2>&1; then
        "${as_root[@]}" apt-get update -q
        "${as_root[@]}" "${install[@]}" "${missing[@]}"
    fi
    missing=()
}

packages() {
    local group
    for group in "$@"; do
        case "$group" in
        build)
            need gcc command -v gcc
            need libc6-dev compiles stdio.h
            need libhttp-parser-dev has_http_parser
            ;;
        test)
            need strace command -v strace
            ;;
        fuzz)
            need clang command -v clang
            install_missing
            # Only clang tells the version of the runtime that goes with it.
            need "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev" has_fuzzer
            ;;
        bench)
            need wrk command -v wrk
            need openssl command -v openssl
            ;;
        lint)
            need clang-format command -v clang-format
            need clang-tidy command -v clang-tidy
            ;;
        *)
            echo "$0: no such group of packages: $group" >&2
            exit 2
            ;;
        esac
    done
}

make_venv() { # DIR [PYTHON]
    local dir=$1 python=${2:-} wanted
    if [ -z "$python" ]; then
        python=$(tools/pythons.sh default) || {
            # A machine without Python at all, or with an old one.
            missing+=(python3)
            packages build
            install_missing
            python=$(tools/pythons.sh default) || {
                echo "No CPython 3.10 or later was found; name one with PYTHON=/path/to/python." >&2
                exit 1
            }
        }
    fi
    packages build
    need_python "$python"
    install_missing

    # An environment whose Python was removed or replaced by another version is made anew.
    wanted=$("$python" -I -c 'import sys; print(sys.version)')
    if [ "$("$dir/bin/python" -I -c 'import sys; print(sys.version)' 2>/dev/null)" != "$wanted" ]; then
        echo "Making $dir with Python ${wanted%% *}"
        "$python" -m venv --clear "$dir"
    fi
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    "$dir/bin/python" -m pip install -q "$(sed -n 's/^requires = \["\(setuptools[^"]*\)"\]$/\1/p' pyproject.toml)"
    TORNADOC_PURE=1 "$dir/bin/python" -m pip install -q --no-build-isolation -e '.[test]'
}

testsuite() { # PYTHON
    local version
    version=$("$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2] if sys.base_prefix == "/usr" else "")')
    if [ -z "$version" ] || ! command -v apt-get >/dev/null; then return; fi
    need "libpython$version-testsuite" "$1" -I -c 'import test.test_asyncio.utils'
    # In a process of its own, which ends without the rights to install.
    (install_missing) || echo "CPython's own asyncio tests will be skipped."
}

case "${1:-}" in
packages)
    shift
    packages "$@"
    install_missing
    ;;
venv)
    shift
    make_venv "$@"
    ;;
testsuite)
    testsuite "$2"
    ;;
*)
    echo "usage: $0 packages GROUP ... | venv DIR [PYTHON] | testsuite PYTHON" >&2
    exit 2
    ;;
esac
