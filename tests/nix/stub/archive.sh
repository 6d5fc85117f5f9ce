# The archive of an image, of its parts: a config, a manifest, a root folder, and a list of store objects.
# The store keeps no modes but what may be run.
write_layer() { # parts
  tar --create --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner --format=posix \
    --pax-option=delete=atime,delete=ctime --mode=u=rwX,go=rX,a-t \
    --directory="$1/root" . --directory=/ --files-from="$1/objects"
}

write_archive() { # parts
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  write_layer "$1" >"$work/layer.tar"
  cp "$1"/*.json "$work"
  (cd "$work" && tar --create layer.tar *.json)
}
