#!/bin/sh
# Make .venv in the project's root and install the project in it, editable, with the extras named as
# arguments. What is there already is kept as long as pyproject.toml and the root's path stay the same.
set -eu
cd "$(dirname "$0")/.."

key=$( (pwd; cat pyproject.toml) | sha256sum | cut -d ' ' -f 1)

fresh() {
    .venv/bin/python -c '' 2>/dev/null || return 1
    for extra in "$@"; do
        [ "$(cat ".venv/installed-$extra" 2>/dev/null)" = "$key" ] || return 1
    done
}

if fresh "$@"; then
    exit 0
fi

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(sh scripts/find_python.sh)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        sh scripts/debian_packages.sh \
            "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    "$python" -m venv --clear .venv
fi

case " $* " in
*" tflite "*)
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        echo "the tests need Python 3.11, since tflite-runtime has no wheel for later versions;" \
            "remove .venv and name one: make PYTHON=/path/to/python3.11 test" >&2
        exit 1
    fi
    ;;
esac

extras=$(echo "$*" | tr ' ' ',')
echo "installing edgecomp[$extras] in .venv" >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
for extra in "$@"; do
    echo "$key" >".venv/installed-$extra"
done
