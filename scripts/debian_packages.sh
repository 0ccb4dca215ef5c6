#!/bin/sh
# Install the Debian packages named as arguments, as far as they are missing: as root, or with sudo
# where it asks for no password; otherwise say in one sentence what is missing.
set -eu

missing=
for package in "$@"; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
        missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root="env"
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n env"
else
    as_root=
fi
if [ -z "$as_root" ] || ! command -v apt-get >/dev/null; then
    echo "missing Debian packages:$missing;" \
        "install them with: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "installing Debian packages:$missing" >&2
# The words of $as_root and $missing are meant to be split.
$as_root apt-get update -q >&2
$as_root DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >&2
