"""`fly` as the tests start it: hands its command and files to serve.py, passes SIGINT on, ends alike.

It is started hundreds of times, so it imports only what the interpreter is made of: json, signal and socket
would take longer than all the rest. SIGTERM ends it, and serve.py ends the command with it.
"""

import _signal
import _socket
import posix
import sys

SOL_SOCKET, SCM_RIGHTS, SIGINT = _socket.SOL_SOCKET, _socket.SCM_RIGHTS, 2


def main() -> int:
    """Run the command line after the socket's NAME there."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [SIGINT])  # until it can be passed on
    request = {"argv": sys.argv[2:], "directory": posix.getcwd(), "environment": posix.environ}
    files = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    server.connect(f"\0{sys.argv[1]}")
    server.sendmsg([ascii(request).encode()], [(SOL_SOCKET, SCM_RIGHTS, files)])
    while True:
        try:
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [SIGINT])
            return int(server.recv(32) or 1)
        except KeyboardInterrupt:
            server.send(b"interrupt")


if __name__ == "__main__":
    sys.exit(main())
