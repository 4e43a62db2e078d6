#!/bin/sh
# What some tests need besides Python: a browser, Postgres, nginx, a voice. Needs root and Debian's packages; run it again
# as often as you like. A test whose software is missing is skipped and says so, so any part of this may be left out.
set -eu

# Installed to be started by the tests alone: no service of theirs shall come up.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi

apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium postgresql nginx-light espeak-ng
