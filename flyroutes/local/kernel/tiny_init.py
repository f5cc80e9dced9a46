"""Process 1 of a Machine as a program of a few hundred bytes, in the place of a Python that waits.

A forked Python that only waits still keeps 3 MB for itself, page by page as its parent goes on; multiplied by
hundreds of Machines that was most of what a network took. The loop below is that of `init.run`, in machine
code for one processor; on any other, and where the kernel runs nothing out of memory, the Python stays.
"""

from __future__ import annotations

import os
import platform
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_BASE = 0x400000
_HEADERS = 64 + 56


def become(child: int, watched: Iterable[int]) -> None:
    """Turn this process into one that waits for `child`, passes signals on to it, and ends as it ends.

    `watched` are signals that are blocked already; all but SIGCHLD are passed on. Orphans are reaped,
    inheritable files stay open, and the parent-death signal stays set (execve(2)). Returns where this cannot
    be done: the caller does the same in Python then.
    """
    if platform.machine() != "x86_64":
        return
    try:
        file = os.memfd_create("init", os.MFD_CLOEXEC)
        os.write(file, _elf(_x86_64(child, sum(1 << (number - 1) for number in watched))))
        os.execve(file, ["init"], {})
    except OSError:
        return  # memfd_noexec, for one (Documentation/userspace-api/mfd_noexec.rst)


def _elf(code: bytes) -> bytes:
    """A static 64-bit ELF file: its header, one segment to load, the code (elf(5))."""
    size = _HEADERS + len(code)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 4096)
    return ident + header + segment + code


def _x86_64(child: int, signals: int) -> bytes:
    """System calls take their number in eax and arguments in rdi, rsi, rdx, r10 (syscall(2))."""
    app = struct.pack("<I", child)
    lines = (
        "4883ec10",  #               sub rsp, 16
        f"48c70424 {struct.pack('<I', signals).hex()}",  # mov qword [rsp], SIGNALS
        # next:
        "b880000000",  #             mov eax, 128            rt_sigtimedwait(
        "4889e7",  #                 mov rdi, rsp                SIGNALS,
        "31f6",  #                   xor esi, esi                no siginfo,
        "31d2",  #                   xor edx, edx                no timeout,
        "41ba08000000",  #           mov r10d, 8                 8 bytes)
        "0f05",  #                   syscall
        "85c0",  #                   test eax, eax
        "78e8",  #                   js next                 interrupted, by a thaw for one
        "83f811",  #                 cmp eax, 17             SIGCHLD?
        "7410",  #                   je reap
        "89c6",  #                   mov esi, eax            kill(APP, signal)
        f"bf {app.hex()}",  #        mov edi, APP
        "b83e000000",  #             mov eax, 62
        "0f05",  #                   syscall
        "ebd3",  #                   jmp next
        # reap:
        "b83d000000",  #             mov eax, 61             wait4(
        "bfffffffff",  #             mov edi, -1                 anybody,
        "488d742408",  #             lea rsi, [rsp + 8]          status,
        "ba01000000",  #             mov edx, 1                  WNOHANG,
        "4531d2",  #                 xor r10d, r10d              no usage)
        "0f05",  #                   syscall
        "85c0",  #                   test eax, eax
        "7eb6",  #                   jle next                nobody more
        f"3d {app.hex()}",  #        cmp eax, APP
        "75dc",  #                   jne reap
        "8b442408",  #               mov eax, [rsp + 8]      its exit code, or 128 + the signal's number
        "89c7",  #                   mov edi, eax
        "83e77f",  #                 and edi, 127
        "7408",  #                   jz exited
        "81c780000000",  #           add edi, 128
        "eb03",  #                   jmp leave
        "0fb6fc",  # exited:         movzx edi, ah
        "b8e7000000",  # leave:      mov eax, 231            exit_group(code)
        "0f05",  #                   syscall
    )
    return bytes.fromhex("".join(lines))
