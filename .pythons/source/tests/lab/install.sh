#!/bin/sh
# What the fault lab needs besides Python: Debian's packages and Node's. Needs root; run it again as often as you like.
# A case whose software is missing is skipped, so any part of this may be left out.
set -eu

here=$(cd "$(dirname "$0")" && pwd)

# Installed to be started by the lab alone: no service of theirs shall come up.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi

apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    nginx-light haproxy apache2 libapache2-mod-security2 caddy stunnel4 lighttpd lighttpd-mod-openssl varnish gunicorn \
    h2o nghttp2-proxy squid hitch sslh busybox php-cli python3-aiohttp python3-tornado daphne python3-hypercorn \
    dnsmasq-base nftables iptables iproute2 openssl

if ! command -v node > /dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nodejs npm
fi
cd "$here/node"
npm ci
