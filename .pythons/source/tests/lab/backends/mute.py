"""Listens and says nothing, or the wrong thing, below HTTP: TCP and UDP.

python -m tests.lab.backends.mute --host 127.0.0.1 --port 443 --mode accepts|banner|closes|resets|full|udp
"""

from __future__ import annotations

import argparse
import socket
import struct
import threading

BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mode", required=True, choices=["accepts", "banner", "closes", "resets", "full", "udp"])
    arguments = parser.parse_args()
    family = socket.AF_INET6 if ":" in arguments.host else socket.AF_INET
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    if arguments.mode == "udp":
        # A bound socket that nobody reads; TCP is listened on as well, which tells the lab that all is ready.
        datagrams.bind((arguments.host, arguments.port))
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((arguments.host, arguments.port))
    listener.listen(0 if arguments.mode == "full" else 128)
    if arguments.mode == "full":
        # A backlog of nought holds one connection; with it taken and nobody accepting, the next SYN gets no answer.
        fillers = [socket.socket(family) for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex((arguments.host, arguments.port))
        threading.Event().wait()
    kept = []
    while True:
        peer, _ = listener.accept()
        if arguments.mode == "closes":
            peer.close()
        elif arguments.mode == "resets":
            # The first bytes come, and the answer is a reset: what a filter on the name in the hello does.
            peer.recv(1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
        else:
            if arguments.mode == "banner":
                peer.sendall(BANNER)
            kept.append(peer)


if __name__ == "__main__":
    main()
