#!/usr/bin/env bash
# Finds CPython interpreters of version 3.10 or later, on PATH and among pyenv's.
#
#   tools/pythons.sh list       a line "3.X /path/to/python" for each version, lowest first
#   tools/pythons.sh default    the path for everyday use: python3 where it will do, else the highest version
#   tools/pythons.sh find 3.X   the path of that version; fails if there is none
set -euo pipefail

# Prints "3.X /path" if $1 is an interpreter that will do. pyenv leaves shims on PATH that name versions which are not
# active and fail, so each candidate is run. A free-threaded build is another thing.
probe() {
    "$1" -I -c '
import sys, sysconfig
if sys.implementation.name == "cpython" and sys.version_info >= (3, 10) and not sysconfig.get_config_var("Py_GIL_DISABLED"):
    print("%d.%d" % sys.version_info[:2], sys.executable)
' 2>/dev/null || true
}

candidates() {
    local minor
    echo python3
    for minor in 10 11 12 13 14 15 16 17 18 19; do
        echo "python3.$minor"
    done
    for path in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3; do
        [ -x "$path" ] && echo "$path"
    done
    return 0
}

list() {
    local candidate
    candidates | while read -r candidate; do
        if command -v "$candidate" >/dev/null; then probe "$candidate"; fi
    done | sort -t. -k2,2n -s | sort -u -t. -k2,2n
}

case "${1:-}" in
list)
    list
    ;;
default)
    found=$(probe python3)
    if [ -z "$found" ]; then found=$(list | tail -n 1); fi
    if [ -z "$found" ]; then exit 1; fi
    echo "${found#* }"
    ;;
find)
    list | awk -v version="$2" '$1 == version { print $2; found = 1 } END { exit !found }'
    ;;
*)
    echo "usage: $0 list | default | find 3.X" >&2
    exit 2
    ;;
esac
