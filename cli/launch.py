"""Becomes another program that does not outlive the process that started it.

Run as a script (`python -I -S launch.py PARENT SIGNAL USER PROGRAM ...`), so it imports nothing of ours and
costs a few milliseconds. On Linux the kernel sends SIGNAL to the program when PARENT dies, even by SIGKILL.
Elsewhere there is no such request; the next `dossier up` or `dossier down` stops what a dead supervisor left.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PARENT_GONE = 75


def main(parent: int, death_signal: int, user: str, program: list[str]) -> None:
    if user != "-":
        uid, gid = (int(number) for number in user.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which clears the request.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(PARENT_GONE)
    os.execvp(program[0], program)  # noqa: S606 - the supervisor composed the command


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
