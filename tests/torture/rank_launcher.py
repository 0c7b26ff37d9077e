"""Started by mpiexec as a rank: hands its place among the ranks to a process that is warm.

    rank_launcher.py SOCKET

Importing everything takes a rank a second. So killed_ranks.py has imported it all, and forks a
process for each rank that comes to its socket: with the variables and the descriptor by which
MPI knows its ranks. This one waits, and ends as that one does.
"""

import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    variables = {
        name: value for name, value in os.environ.items() if name.startswith(("PMI", "MPI"))
    }
    socket.send_fds(connection, [repr(variables).encode()], [int(os.environ["PMI_FD"])])
    answer = connection.recv(1)
sys.exit(answer[0] if answer else 1)
