# The Python packages are those of nixpkgs, not those of requirements.txt: Nix pins them by its own lock.
{
  component,
  python313,
}:
let
  python = python313.withPackages (packages: [
    packages.fastapi
    packages.gunicorn
    packages.hiredis
    packages.httptools
    packages.redis
    packages.uvicorn
    packages.uvicorn-worker
    packages.uvloop
  ]);
in
component {
  name = "fastapi";
  named = ".venv/bin/python";
  program = python.interpreter;
  # They would become facts, but are not used.
  install = "rm $out/fastapi/requirements.in $out/fastapi/requirements.txt";
}
