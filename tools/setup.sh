#!/bin/sh
# setup.sh VENV run|dev: make the virtual environment and install the dependencies that setup.cfg names.
set -eu

venv=$1
what=$2

say() { printf '%s\n' "rmqgateway: $*" >&2; }

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if [ ! -x "$venv/bin/python" ] || ! fits "$venv/bin/python"; then
    python=
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3; do
        if command -v "$candidate" >/dev/null 2>&1 && fits "$candidate"; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        say "Python 3.11 or newer is needed; found: $(python3 --version 2>&1 || echo none)."
        say "Install it: apt-get install python3 python3-venv (Debian 12 and later), or name one: make PYTHON=/path/to/python3.11"
        exit 1
    fi
    if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        say "$python has no venv module. Install it: apt-get install python$version-venv (or python3-venv)"
        exit 1
    fi
    say "making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
fi

if [ "$what" = dev ] && ! command -v "${CC:-cc}" >/dev/null 2>&1; then
    say "a C compiler is needed for the test tools (the load generator, the recording shim). Install it: apt-get install gcc libc6-dev"
    exit 1
fi

list=$venv/requirements-$what.txt
"$venv/bin/python" tools/requirements.py "$what" >"$list"
say "installing what setup.cfg names for '$what'"
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$list"; then
    say "pip could not install the dependencies; its message is above. Behind a mirror set PIP_INDEX_URL."
    exit 1
fi
