"""An app that breaks its contract as --mode says; --n is how much. It has no store: it knows the value."""

import gzip
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

if sys.argv[1:] == ["--version"]:
    print(Path("version").read_text())
    sys.exit()
FLAGS = dict(zip(sys.argv[1::2], sys.argv[2::2]))
MODE, N = FLAGS["--mode"], float(FLAGS["--n"])
VALUE = bytes((index * 31 + 7) % 256 for index in range(1024))
ABOUT = {"framework": f"Framework {Path('package-version').read_text().strip()}", "workers": 1}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/healthz":
            status = int(N) if MODE == "unhealthy" else 200
            self.answer(status, b'{"state":\n"\x1b[31mdown"}', Content_Type="application/json")
        elif self.path == "/about":
            about = ["Framework 1.0"] if MODE == "list" else ABOUT
            self.answer(200, json.dumps(about).encode(), Content_Type="application/json")
        elif MODE == "redirect" and self.path == "/cached-value":
            self.answer(302, b"", Location="/cached-value/")
        elif MODE == "gzip":
            self.answer(200, gzip.compress(VALUE, mtime=0), Content_Encoding="gzip")
        else:
            if MODE == "slow":
                time.sleep(N)
            self.answer(int(N) if MODE == "status" else 200, VALUE, Content_Type="text/x-value")

    def log_message(self, *_):
        pass


print("Press CTRL+C to quit", flush=True)
if MODE == "late":
    time.sleep(N)
if MODE == "ends":
    sys.exit("no configuration")
port = 0 if MODE == "elsewhere" else int(FLAGS["--port"])
ThreadingHTTPServer((FLAGS["--host"], port), Handler).serve_forever()
