"""One file a probe: it looks, bounded in time, and returns one facts dataclass. It never judges.

url         how the URL reads                    tls         handshakes in the carrier's shape and others
dns         where the name leads                 upgrade     the HTTP/1.1 exchange, every raw byte kept
tcp         which addresses take a connection    websocket   frames by hand; several tries in a row
channel     one connection, plain or TLS         media, idle a stream spoken as Telnyx speaks it
shapes      which requests are sent, and when    control     a failed step once more where the answer is known

railway     what the host's own API says, and its logs    telnyx      how the account is set, how a call went
files       what a project's files tell platforms         archive     can recordings be put where they are to be kept

machine.py watches how late the doctor itself is woken: on a starved machine, times prove nothing.
"""
