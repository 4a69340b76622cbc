"""Starts a command with a terminal of its own and closes that terminal; for terminal.test.ts.

    terminal.py MARKER COMMAND...

The terminal is closed when the command has said MARKER, or when the file named by it exists. Prints how the command ended: its exit
code, or minus the signal.
"""

import os
import pty
import select
import sys
import time

marker, command = sys.argv[1], sys.argv[2:]
pid, master = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
seen = b""
end = time.monotonic() + 500
while marker.encode() not in seen and not os.path.exists(marker) and time.monotonic() < end:
    ready, _, _ = select.select([master], [], [], 0.05)
    if ready:
        seen += os.read(master, 4096)
os.close(master)
_, status = os.waitpid(pid, 0)
print(os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status))
