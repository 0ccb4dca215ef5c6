#!/bin/sh
# Print a Python interpreter of version 3.11 or later; $PYTHON names one to use instead.
# 3.11 is preferred: tflite-runtime, which the tests compare with, has no wheel for later versions.
set -eu

recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13 python3.14 python}; do
    if command -v "$candidate" >/dev/null && recent "$candidate"; then
        command -v "$candidate"
        exit 0
    fi
done

echo "no Python 3.11 or later found (tried: ${PYTHON:-python3.11 python3 python});" \
    "install it, or name one: make PYTHON=/path/to/python3.11 ..." >&2
exit 1
