"""A process that does tasks: `python -m verifex.engine.execute.task_worker FILE_NUMBER`.

Its first message says where modules are looked for and where temporary files go; every further one
is a task, which is answered by its result. It ends when the process that started it is gone, also
in the middle of a task.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading

from verifex.engine.execute.channel import Channel, PeerGoneError
from verifex.engine.execute.child_process import kill_tree
from verifex.engine.execute.executor import perform


def serve_tasks(channel: Channel) -> None:
    """Do the tasks that come; raises PeerGoneError when nobody is left who could send one."""
    # Ctrl-C is for the process that started us: it, or our end of the channel, ends us with all
    # that we have started. Died of it ourselves, we would leave that behind.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    begin = channel.wait()
    sys.path[:] = begin["path"]
    os.environ["TMPDIR"] = tempfile.tempdir = begin["folder"]
    threading.Thread(
        target=_end_with_peer, args=(channel, begin["folder"]), daemon=True, name="peer watch"
    ).start()
    while True:
        channel.send({"result": perform(channel.wait()["task"])})
        channel.flush()


def _end_with_peer(channel: Channel, folder: str) -> None:
    """End this process, with what it has started, as soon as the other end of the channel closes:
    a task inside a long call would not notice."""
    poll = select.poll()
    poll.register(channel.fileno(), 0)  # hang-up is reported without asking; data is left alone
    poll.poll()
    kill_tree(os.getpid())
    shutil.rmtree(folder, ignore_errors=True)  # nobody else is left to do it
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Serve the process at the other end of the socket with this number."""
    try:
        serve_tasks(Channel(socket.socket(fileno=int(arguments[0]))))
    except PeerGoneError:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
