"""Stands for a command that a warm server runs; see `warm_start`. Imports as little as it can."""

import os
import signal
import socket
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(path: str, *words: str) -> None:
    """Have it run with all that is this process's, and end as it ends."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        environment = [b"=".join(each) for each in os.environb.items()]
        ignored = [each for each in SIGNALS if signal.getsignal(each) is signal.SIG_IGN]
        said = [os.getcwd(), " ".join(map(str, map(int, ignored))), str(len(words)), *words]
        body = b"\0".join([*map(os.fsencode, said), *environment])
        request = b"%d\n" % len(body) + body
        sent = socket.send_fds(server, [request], [0, 1, 2])
        server.sendall(request[sent:])
        with server.makefile() as answers:
            pid = int(answers.readline())
            for number in SIGNALS:
                if number not in ignored:
                    signal.signal(number, lambda got, _: os.kill(pid, got))
            status = int(answers.readline() or -signal.SIGKILL)
    if status < 0:
        if -status in SIGNALS:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
