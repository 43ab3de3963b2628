"""at_terminal.py <keys> <rows> <columns> <command> [<argument>...]

Runs a command at a terminal of that size. What comes out of the FIFO <keys> is
typed; what the terminal shows goes to standard output. Ends as the command.
"""
import fcntl
import os
import pty
import select
import struct
import sys
import termios

keys_path, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
command = sys.argv[4:]

pid, terminal = pty.fork()
if pid == 0:
    size = struct.pack("HHHH", rows, columns, 0, 0)
    fcntl.ioctl(0, termios.TIOCSWINSZ, size)
    os.execvp(command[0], command)

keys = os.open(keys_path, os.O_RDWR)
while True:
    ready, _, _ = select.select([terminal, keys], [], [])
    if keys in ready:
        typed = os.read(keys, 4096)
        while typed:
            typed = typed[os.write(terminal, typed):]
    if terminal in ready:
        try:
            shown = os.read(terminal, 4096)
        except OSError:  # nobody has it open any more
            shown = b""
        if not shown:
            break
        os.write(1, shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
