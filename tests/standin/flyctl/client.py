"""`fly` as the tests start it: hands its command and files to serve.py, passes SIGINT on, ends alike."""

import json
import os
import signal
import socket
import sys


def main() -> int:
    """Run the command line after the socket's NAME there."""
    request = {"argv": sys.argv[2:], "directory": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(f"\0{sys.argv[1]}")
        socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
        pid = int(server.recv(32))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _frame: os.kill(pid, number))
        return int(server.recv(32) or 1)


if __name__ == "__main__":
    sys.exit(main())
