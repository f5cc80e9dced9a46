"""Runs the stand-in's commands in forks of one process that has imported everything: ten times as fast.

`python serve.py NAME` listens at the abstract socket NAME; client.py brings it a command with its files.
"""

from __future__ import annotations

import ast
import os
import signal
import socket
import sys
import threading
import traceback

import commands
import fly


def main() -> None:
    """Serve until killed."""
    commands.import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks: client.py gets their status
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0{sys.argv[1]}")
        listener.listen(64)
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            with client:
                if os.fork() == 0:
                    listener.close()
                    _run(client)


def _run(client: socket.socket) -> None:
    """One command, on the client's files, in its directory and environment; ends this process."""
    data, files, _, _ = socket.recv_fds(client, 1 << 20, 3)
    request = ast.literal_eval(data.decode())  # text that client.py can write without any import
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["directory"])
    os.environb.clear()
    os.environb.update(request["environment"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # In the thread as well, or it takes what fly.main holds back until the journal is written.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    threading.Thread(target=_follow, args=(client,), daemon=True).start()
    status = 1
    try:
        status = fly.main(request["argv"])
    except BaseException:
        # Nobody else would: the fork ends below without going back to its interpreter.
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        client.send(str(status).encode())
        os._exit(status)


def _follow(client: socket.socket) -> None:
    """What the program is told is told to its fork; and when it is killed, the fork must do nothing more."""
    while client.recv(32):
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(128 + signal.SIGKILL)


if __name__ == "__main__":
    main()
