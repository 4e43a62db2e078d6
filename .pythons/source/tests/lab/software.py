"""How each proxy is started: the shortest configuration that works, into which a case writes its own lines.

Every `nginx()`, `haproxy()`, … below returns when the program listens. `A` in a configuration is the bench's address.
"""

from __future__ import annotations

from asyncio.subprocess import Process
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.certificates import Pair

APP_PORT = 8080

NGINX_UPGRADES = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header Host $host;
"""
"""The lines from nginx's own page on WebSockets."""

APACHE_MODULES = (
    "mpm_event", "authn_core", "authz_core", "authz_host", "authz_user", "auth_basic", "authn_file", "unixd:", "mime",
    "dir", "alias", "rewrite", "ssl", "socache_shmcb", "proxy", "proxy_http", "proxy_wstunnel", "headers", "reqtimeout",
)  # fmt: skip


class Proxies:
    """Real proxies, mixed into Bench, which gives `run`, `write`, `certificate` and `address`."""

    address: str
    directory: Path

    if TYPE_CHECKING:

        async def run(
            self,
            *command: str | Path,
            port: int | None = None,
            address: str | None = None,
            environment: dict[str, str] | None = None,
            connect: bool = True,
        ) -> Process: ...

        def write(self, name: str, text: str) -> Path: ...

        def certificate(self) -> Pair: ...

    def _fill(self, text: str) -> str:
        return text.replace("@A@", self.address)

    async def nginx(
        self,
        server: str,
        *,
        http: str = "",
        port: int = 443,
        listen: str = "ssl",
        pair: Pair | None = None,
        main: str = "",
    ) -> Process:
        """nginx with one server block. `http` goes beside the block, `main` beside `http`."""
        pair = pair or self.certificate()
        tls = f"ssl_certificate {pair.chain}; ssl_certificate_key {pair.key};" if "ssl" in listen else ""
        (self.directory / "nginx").mkdir(exist_ok=True)
        text = f"""
            daemon off; user root; worker_processes 1; pid {self.directory}/nginx/pid; error_log stderr info;
            events {{ worker_connections 256; }}
            {main}
            http {{
                access_log {self.directory}/nginx/access.log;
                client_body_temp_path {self.directory}/nginx/body; proxy_temp_path {self.directory}/nginx/proxy;
                fastcgi_temp_path {self.directory}/nginx/fastcgi; uwsgi_temp_path {self.directory}/nginx/uwsgi;
                scgi_temp_path {self.directory}/nginx/scgi;
                map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
                {http}
                server {{ listen @A@:{port} {listen}; {tls} {server} }}
            }}
        """
        path = self.write("nginx.conf", self._fill(text))
        return await self.run("nginx", "-p", self.directory, "-c", path, port=port)

    async def nginx_before_app(self, *lines: str, http: str = "", port: int = 443) -> Process:
        """nginx as it should be, with a case's extra lines in the location."""
        inner = " ".join(lines)
        return await self.nginx(
            f"location / {{ proxy_pass http://@A@:{APP_PORT}; {NGINX_UPGRADES} {inner} }}", http=http, port=port
        )

    async def haproxy(self, text: str, *, port: int = 443, timeouts: str = "") -> Process:
        """HAProxy. `@CERT@` in `text` is the file with chain and key."""
        head = f"""
            global
                log stdout format raw local0
                maxconn 256
                ssl-default-bind-options ssl-min-ver TLSv1.2
            defaults
                mode http
                log global
                option httplog
                timeout connect 2s
                timeout client 60s
                timeout server 60s
                timeout tunnel 1h
                {timeouts}
        """
        whole = head + text.replace("@CERT@", str(self.certificate().both))
        lines = [line.strip() for line in self._fill(whole).splitlines()]
        sections = ("global", "defaults", "frontend", "backend", "listen", "resolvers")
        shaped = [line if line.split(" ")[0] in sections else f"    {line}" for line in lines if line]
        path = self.write("haproxy.cfg", "\n".join(shaped) + "\n")
        return await self.run("haproxy", "-db", "-f", path, port=port)

    async def apache(self, host: str, *, port: int = 443, pair: Pair | None = None, modules: str = "") -> Process:
        """Apache with one virtual host."""
        pair = pair or self.certificate()
        wanted = [*APACHE_MODULES, *modules.split()]
        loads = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
            for name in wanted
            if not name.endswith(":") and Path(f"/usr/lib/apache2/modules/mod_{name}.so").exists()
        )
        text = f"""
            ServerRoot {self.directory}
            ServerName voice.example.com
            PidFile {self.directory}/apache.pid
            DefaultRuntimeDir {self.directory}
            {loads}
            User www-data
            Group www-data
            Listen @A@:{port}
            ErrorLog /dev/stderr
            LogLevel info
            TypesConfig /dev/null
            <VirtualHost @A@:{port}>
                ServerName voice.example.com
                SSLEngine on
                SSLCertificateFile {pair.chain}
                SSLCertificateKeyFile {pair.key}
                {host}
            </VirtualHost>
        """
        path = self.write("apache.conf", self._fill(text))
        return await self.run("apache2", "-f", path, "-DFOREGROUND", port=port)

    async def caddy(self, site: str, *, port: int = 443, options: str = "", tls: str | None = None) -> Process:
        """Caddy with one site. Its own certificate automation is off: the lab's files are used."""
        pair = self.certificate()
        tls = f"tls {pair.chain} {pair.key}" if tls is None else tls
        text = f"""
            {{
                admin off
                auto_https disable_redirects
                {options}
            }}
            https://voice.example.com:{port} {{
                bind @A@
                {tls}
                {site}
            }}
        """
        path = self.write("Caddyfile", self._fill(text))
        home = {"XDG_DATA_HOME": str(self.directory), "XDG_CONFIG_HOME": str(self.directory)}
        return await self.run("caddy", "run", "--config", path, "--adapter", "caddyfile", port=port, environment=home)

    async def stunnel(
        self, service: str = "", *, port: int = 443, app: int = APP_PORT, pair: Pair | None = None
    ) -> Process:
        """stunnel, from TLS on `port` to the plain app."""
        pair = pair or self.certificate()
        text = f"""
            foreground = yes
            pid =
            debug = 5
            [voice]
            accept = @A@:{port}
            connect = @A@:{app}
            cert = {pair.chain}
            key = {pair.key}
            {service}
        """
        path = self.write("stunnel.conf", self._fill(text))
        return await self.run("stunnel4", path, port=port)

    async def tls_in_front(self, *, app: int = APP_PORT, port: int = 443) -> Process:
        """The plainest TLS terminator, HAProxy in TCP mode: bytes go through as they are."""
        return await self.haproxy(
            f"""
            listen tls
            mode tcp
            option tcplog
            bind @A@:{port} ssl crt @CERT@
            server app @A@:{app}
            """,
            port=port,
        )

    async def varnish(self, recv: str = "", *, port: int = 8443, app: int = APP_PORT) -> Process:
        """Varnish; it speaks no TLS, so something must stand before it."""
        text = f"""
            vcl 4.1;
            backend default {{ .host = "@A@"; .port = "{app}"; .first_byte_timeout = 10s; }}
            sub vcl_recv {{ {recv} }}
        """
        path = self.write("varnish.vcl", self._fill(text))
        command = ("varnishd", "-F", "-n", str(self.directory / "varnish"), "-f", str(path), "-s", "malloc,16m")
        return await self.run(*command, "-a", f"{self.address}:{port}", "-p", "vcc_allow_inline_c=off", port=port)

    async def lighttpd(self, text: str, *, port: int = 443) -> Process:
        """lighttpd with TLS."""
        pair = self.certificate()
        head = f"""
            server.document-root = "{self.directory}"
            server.bind = "@A@"
            server.port = {port}
            server.modules = ( "mod_openssl", "mod_redirect", "mod_access", "mod_proxy" )
            ssl.engine = "enable"
            ssl.pemfile = "{pair.chain}"
            ssl.privkey = "{pair.key}"
        """
        path = self.write("lighttpd.conf", self._fill(head + text))
        return await self.run("lighttpd", "-D", "-f", path, port=port)
