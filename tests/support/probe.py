"""Tries addresses from where it runs, and prints what happened.

Sent as text into Machines: standard library only.

argv[1] is a JSON list of {"how", "host", "port"}; the output a JSON list of [outcome, detail] in that order.
Outcomes: ok, no address, refused, closed, timeout, unreachable, not ok.
"""

import json
import socket
import ssl
import sys
import threading

PATIENCE = 8.0
"""Seconds for one try over TCP: longer than Fly Proxy waits for a Machine that has just started."""
UDP_PATIENCE = 0.7
"""Seconds for each of three datagrams."""


def resolve(probe):
    family = {"udp": socket.AF_INET, "udp6": socket.AF_INET6}.get(probe["how"], socket.AF_UNSPEC)
    return socket.getaddrinfo(probe["host"], probe["port"], family, socket.SOCK_STREAM)[0]


def try_udp(address):
    with socket.socket(address[0], socket.SOCK_DGRAM) as sock:
        sock.settimeout(UDP_PATIENCE)
        sock.connect(address[4])
        for attempt in range(3):
            sock.send(b"ping")
            try:
                answer = sock.recv(100)
            except TimeoutError:
                if attempt == 2:
                    raise
            else:
                return ("ok", "echoed") if answer == b"ping" else ("not ok", repr(answer))


def try_tcp(address, probe):
    with socket.socket(address[0], socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(address[4])
        if probe["how"] == "https":
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=probe["host"])
        if probe["how"] == "tcp":
            sock.sendall(b"ping\n")
            answer = sock.recv(100)
            return ("ok", "echoed") if answer == b"ping\n" else ("closed", repr(answer))
        sock.sendall(f"GET /healthz HTTP/1.1\r\nHost: {probe['host']}\r\nConnection: close\r\n\r\n".encode())
        answer = sock.recv(100).split(b"\r\n")[0].decode()
        if not answer:
            return "closed", "no answer"
        return ("ok" if " 200" in answer else "not ok"), answer


def attempt(probe):
    try:
        address = resolve(probe)
        return try_udp(address) if probe["how"].startswith("udp") else try_tcp(address, probe)
    except socket.gaierror as error:
        return "no address", str(error)
    except ConnectionRefusedError as error:
        return "refused", str(error)
    except TimeoutError as error:
        return "timeout", str(error)
    except (ConnectionError, ssl.SSLError) as error:
        return "closed", str(error)
    except OSError as error:
        return "unreachable", str(error)


def main():
    probes = json.loads(sys.argv[1])
    results = [None] * len(probes)

    def run(number):
        results[number] = attempt(probes[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(probes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
