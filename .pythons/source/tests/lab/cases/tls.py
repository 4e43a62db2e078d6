"""Section 4: the handshake before the handshake."""

from __future__ import annotations

import datetime

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.lab.bench import HOST, Bench
from tests.lab.case import UNDECIDED, Cases, Target
from tests.lab.certificates import DAY, NOW, Pair

CASES = Cases()
case = CASES.case


async def app_behind_nginx(bench: Bench, pair: Pair | None = None, more: str = "") -> Target:
    """All is well but for the certificate or the TLS settings."""
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        f"{more} location / {{ proxy_pass http://@A@:8080; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }",
        pair=pair,
    )
    return bench.target()


async def app_behind_stunnel(bench: Bench, service: str = "", pair: Pair | None = None) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.stunnel(service, pair=pair)
    return bench.target()


# --- the certificate ---


@case("tls-expired", why="The certificate ended three days ago.", needs="apache2")
async def tls_expired(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    pair = bench.authority.leaf(HOST, begins=NOW - 93 * DAY, ends=NOW - 3 * DAY)
    await bench.apache("ProxyPass / http://@A@:8080/ upgrade=websocket", pair=pair)
    return bench.target()


@case("tls-expired", why="It ended an hour ago.", needs="nginx")
async def tls_expired_just_now(bench: Bench) -> Target:
    hour = datetime.timedelta(hours=1)
    return await app_behind_nginx(bench, bench.authority.leaf(HOST, begins=NOW - 90 * DAY, ends=NOW - hour))


@case("tls-not-yet-valid", why="It begins tomorrow: a clock was wrong at issuance.", needs="nginx")
async def tls_not_yet_valid(bench: Bench) -> Target:
    return await app_behind_nginx(bench, bench.authority.leaf(HOST, begins=NOW + DAY, ends=NOW + 90 * DAY))


@case("tls-expired", why="The leaf is fine, the intermediate has ended.", needs="nginx")
async def tls_intermediate_expired(bench: Bench) -> Target:
    return await app_behind_nginx(bench, bench.authority.leaf(HOST, stale_intermediate=True))


@case("tls-self-signed", why="What `openssl req -x509` makes.", needs="stunnel4")
async def tls_self_signed(bench: Bench) -> Target:
    return await app_behind_stunnel(bench, pair=bench.authority.self_signed(HOST))


@case("tls-self-signed", why="The distribution's own snakeoil: self-signed and for another name.", needs="nginx")
async def tls_snakeoil(bench: Bench) -> Target:
    return await app_behind_nginx(bench, bench.authority.self_signed("debian"))


@case(
    "tls-untrusted-root",
    why="A company's own authority; the whole chain is sent, nobody outside knows the root.",
    needs="nginx",
)
async def tls_private_authority(bench: Bench) -> Target:
    target = await app_behind_nginx(bench, bench.authority.leaf(HOST, send_root=True))
    return Target(target.url, target.options[2:])


@case(
    "tls-untrusted-root",
    "tls-missing-intermediate",
    UNDECIDED,
    why="The same, without the root in the chain.",
    needs="nginx",
)
async def tls_private_authority_short(bench: Bench) -> Target:
    target = await app_behind_nginx(bench)
    return Target(target.url, target.options[2:])


@case(
    "tls-missing-intermediate",
    why="The leaf alone is installed; browsers fetch the rest, carriers do not.",
    needs="nginx",
)
async def tls_missing_intermediate(bench: Bench) -> Target:
    return await app_behind_nginx(bench, bench.authority.leaf(HOST, send_intermediate=False))


@case("tls-missing-intermediate", why="`cert.pem` in place of `fullchain.pem`, in Apache.", needs="apache2")
async def tls_missing_intermediate_apache(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    pair = bench.authority.leaf(HOST, send_intermediate=False)
    await bench.apache("ProxyPass / http://@A@:8080/ upgrade=websocket", pair=pair)
    return bench.target()


@case("tls-hostname-mismatch", why="A certificate for another site.", needs="nginx")
async def tls_other_name(bench: Bench) -> Target:
    return await app_behind_nginx(bench, bench.authority.good("www.shop.example.net"))


@case(
    "tls-hostname-mismatch", why="The platform's own wildcard: the custom domain has no certificate yet.", needs="nginx"
)
async def tls_platform_name(bench: Bench) -> Target:
    return await app_behind_nginx(bench, bench.authority.good("*.up.railway.app"))


@case("tls-hostname-mismatch", why="A wildcard covers one label, not two.", needs="nginx")
async def tls_wildcard_too_high(bench: Bench) -> Target:
    return await app_behind_nginx(bench, bench.authority.good("*.com.example.com", "*.com"))


@case(
    "tls-hostname-mismatch",
    UNDECIDED,
    why="The name stands in the subject only, as old scripts make it.",
    needs="nginx",
)
async def tls_common_name_only(bench: Bench) -> Target:
    return await app_behind_nginx(bench, bench.authority.leaf(HOST, common_name_only=True))


@case("tls-hostname-mismatch", why="The URL has the address where the certificate has the name.", needs="netns")
async def tls_address_in_url(bench: Bench) -> Target:
    await bench.networked()
    await bench.voice_app()
    return bench.target_url(f"wss://{bench.address}/api/calls/test-connection/audio")


@case("tls-certificate-unsuitable", UNDECIDED, why="A certificate for clients.", needs="nginx")
async def tls_client_purpose(bench: Bench) -> Target:
    return await app_behind_nginx(bench, bench.authority.leaf(HOST, purpose=ExtendedKeyUsageOID.CLIENT_AUTH))


@case("tls-certificate-unsuitable", UNDECIDED, why="RSA with 1024 bits.", needs="nginx")
async def tls_weak_key(bench: Bench) -> Target:
    pair = bench.authority.leaf(HOST, key=rsa.generate_private_key(65537, 1024))
    return await app_behind_nginx(bench, pair, "ssl_ciphers DEFAULT@SECLEVEL=0;")


# --- the handshake ---


@case("tls-plaintext-port", why="wss to a plain app: uvicorn.")
async def tls_plain_uvicorn(bench: Bench) -> Target:
    await bench.asgi_app(tls=False)
    return bench.target()


@case("tls-plaintext-port", why="wss to a plain app: websockets.")
async def tls_plain_websockets(bench: Bench) -> Target:
    await bench.voice_app(tls=False)
    return bench.target()


@case("tls-plaintext-port", why="wss to a plain app: Node.", needs="node npm:ws")
async def tls_plain_node(bench: Bench) -> Target:
    await bench.node("ws", port=443)
    return bench.target()


@case("tls-plaintext-port", why="`listen 443;` without ssl.", needs="nginx")
async def tls_plain_nginx(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx("location / { proxy_pass http://@A@:8080; }", listen="")
    return bench.target()


@case("tls-plaintext-port", why="HAProxy's bind line without `ssl`.", needs="haproxy")
async def tls_plain_haproxy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy("frontend web\nbind @A@:443\ndefault_backend app\nbackend app\nserver app @A@:8080")
    return bench.target()


@case("tls-plaintext-port", "tcp-wrong-service", UNDECIDED, why="Something that is not HTTP at all: an SSH banner.")
async def tls_ssh_there(bench: Bench) -> Target:
    await bench.python("mute", "--mode", "banner", port=443)
    return bench.target()


@case("tls-protocol-too-old", why="Nothing newer than TLS 1.1.", needs="stunnel4")
async def tls_only_1_1(bench: Bench) -> Target:
    return await app_behind_stunnel(bench, "sslVersionMax = TLSv1.1\nsslVersionMin = TLSv1\nciphers = ALL:@SECLEVEL=0")


@case("tls-protocol-too-old", why="The same in nginx, from an old hardening guide.", needs="nginx")
async def tls_only_1_0(bench: Bench) -> Target:
    return await app_behind_nginx(bench, more="ssl_protocols TLSv1; ssl_ciphers ALL:@SECLEVEL=0;")


@case("tls-no-shared-cipher", UNDECIDED, why="Only CBC suites without forward secrecy.", needs="nginx")
async def tls_weak_cipher(bench: Bench) -> Target:
    pair = bench.authority.leaf(HOST, key=rsa.generate_private_key(65537, 2048))
    more = "ssl_protocols TLSv1.2; ssl_ciphers AES128-SHA:@SECLEVEL=0; ssl_prefer_server_ciphers on;"
    return await app_behind_nginx(bench, pair, more)


@case("tls-handshake-timeout", why="The port accepts and nobody reads.")
async def tls_no_hello(bench: Bench) -> Target:
    await bench.python("mute", "--mode", "accepts", port=443)
    return bench.target()


@case(
    UNDECIDED,
    why="The hello is answered with a reset, as filters on server names do.",
)
async def tls_hello_reset(bench: Bench) -> Target:
    await bench.python("mute", "--mode", "resets", port=443)
    return bench.target()


@case(
    "proxy-protocol-expected",
    "tls-handshake-timeout",
    "tls-plaintext-port",
    "tcp-reset-on-accept",
    UNDECIDED,
    why="The listener wants a PROXY line first and hangs up on a hello.",
    needs="haproxy",
)
async def tls_proxy_line_wanted(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy("listen tls\nmode tcp\nbind @A@:443 accept-proxy ssl crt @CERT@\nserver app @A@:8080")
    return bench.target()


@case(
    "tls-client-certificate-required",
    why="nginx demands a client's certificate: 400.",
    needs="nginx",
)
async def tls_client_certificate_nginx(bench: Bench) -> Target:
    more = f"ssl_verify_client on; ssl_client_certificate {bench.authority.root};"
    return await app_behind_nginx(bench, more=more)


@case(
    "tls-client-certificate-required",
    why="HAProxy demands one: an alert in the handshake.",
    needs="haproxy",
)
async def tls_client_certificate_haproxy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        f"listen tls\nmode tcp\nbind @A@:443 ssl crt @CERT@ ca-file {bench.authority.root} verify required\n"
        "server app @A@:8080"
    )
    return bench.target()


@case(
    "tls-client-certificate-required",
    UNDECIDED,
    why="stunnel with verifyChain: it asks for a certificate in the handshake and hangs up after it.",
    needs="stunnel4",
)
async def tls_client_certificate_stunnel(bench: Bench) -> Target:
    return await app_behind_stunnel(bench, f"verifyChain = yes\nCAfile = {bench.authority.root}")


@case(
    "tls-unrecognized-name",
    "tls-hostname-mismatch",
    UNDECIDED,
    why="The name is not served here and the handshake is refused: ssl_reject_handshake.",
    needs="nginx",
)
async def tls_name_refused_nginx(bench: Bench) -> Target:
    await bench.nginx("ssl_reject_handshake on;")
    return bench.target()


@case(
    "tls-unrecognized-name",
    "tls-hostname-mismatch",
    UNDECIDED,
    why="HAProxy with strict-sni and only another site's certificate.",
    needs="haproxy",
)
async def tls_name_refused_haproxy(bench: Bench) -> Target:
    pair = bench.authority.good("other.example.com")
    await bench.haproxy(f"frontend web\nbind @A@:443 ssl crt {pair.both} strict-sni\nhttp-request return status 200")
    return bench.target()


@case(
    "tls-unrecognized-name",
    "tls-hostname-mismatch",
    UNDECIDED,
    why="Caddy has no certificate for this name (issuance failed): alert internal_error.",
    needs="caddy",
)
async def tls_name_refused_caddy(bench: Bench) -> Target:
    pair = bench.authority.good("other.example.com")
    config = f"""
        {{
            admin off
            auto_https off
        }}
        https://other.example.com:443 {{
            bind {bench.address}
            tls {pair.chain} {pair.key}
            respond 200
        }}
    """
    path = bench.write("Caddyfile", config)
    home = {"XDG_DATA_HOME": str(bench.directory), "XDG_CONFIG_HOME": str(bench.directory)}
    await bench.run("caddy", "run", "--config", path, "--adapter", "caddyfile", port=443, environment=home)
    return bench.target()


@case("http2-only-endpoint", why="HAProxy with `proto h2`: a request in HTTP/1.1 gets no answer.", needs="haproxy")
async def tls_http2_only_haproxy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@ proto h2\ndefault_backend app\nbackend app\nserver app @A@:8080"
    )
    return bench.target()


@case("http2-only-endpoint", why="ALPN offers h2 alone, and insists.", needs="haproxy")
async def tls_http2_only_alpn(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@ alpn h2 proto h2\n"
        "default_backend app\nbackend app\nserver app @A@:8080"
    )
    return bench.target()


@case("http2-only-endpoint", why="Node's http2 server without allowHTTP1.", needs="node")
async def tls_http2_only_node(bench: Bench) -> Target:
    pair = bench.certificate()
    await bench.node("http2-only", str(pair.chain), str(pair.key), port=443)
    return bench.target()
