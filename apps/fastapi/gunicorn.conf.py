"""How gunicorn serves main:app. Everything that differs between runs comes from the environment."""

import logging
import os
import resource
import time

from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):
    """uvicorn with its parts named: a missing one stops the start instead of falling back to a slower one."""

    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": "httptools",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        # No proxy stands in front, so nobody's X-Forwarded-For is to be believed.
        "proxy_headers": False,
    }


class OneLine(logging.Formatter):
    """One line a message, traces included, so that the log can be read line by line."""

    converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).rstrip().replace("\n", " | ")


# A client connection and a store connection are a descriptor each, and the usual soft limit is 1,024.
_, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WORKERS", "1"))
worker_class = Worker
backlog = 2048
# Longer than any client's pause between two requests: the server is not the side that hangs up.
keepalive = 75
graceful_timeout = 10
# The heartbeat file of a worker: on a disk, a slow write would look like a dead worker.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# A socket in the home directory to steer gunicorn by: nobody here uses it.
control_socket_disable = True

loglevel = os.environ.get("LOG_LEVEL", "warning").lower()
_log = {"level": loglevel.upper(), "handlers": ["stderr"]}
logconfig_dict = {
    "formatters": {
        "line": {
            "()": OneLine,
            "fmt": "%(asctime)s.%(msecs)03dZ %(process)d %(levelname)s %(message)s",
            "datefmt": "%Y-%m-%dT%H:%M:%S",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": _log,
    # uvicorn's worker takes its handlers from this one.
    "loggers": {"gunicorn.error": {**_log, "propagate": False}},
}
