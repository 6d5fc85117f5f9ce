# The names of Python packages that the flake uses, as nixpkgs has them.
builtins.listToAttrs (
  map
    (name: {
      inherit name;
      value = name;
    })
    [
      "fastapi"
      "gunicorn"
      "hiredis"
      "httptools"
      "redis"
      "uvicorn"
      "uvicorn-worker"
      "uvloop"
    ]
)
