# Puts programs of the machine, with all the libraries that they load, into $out.

# A library that has a place of its own to search does not search the program's.
forget_places() { # library...
  chmod u+w "$@"
  (PATH=$HOST_PATH; patchelf --remove-rpath "$@")
}

copy_libraries() { # file...
  mkdir -p $out/lib
  ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && $1 !~ /:$/ { print $1 }' | sort -u |
    while read -r library; do cp -Ln "$library" $out/lib/ 2>/dev/null || true; done
}

move() { # program, name
  mkdir -p $out/bin
  copy_libraries "$1"
  cp -L "$1" $out/bin/"$2"
  chmod u+w $out/bin/"$2"
  local loader
  loader=$(echo $out/lib/ld-linux*)
  PATH=$HOST_PATH patchelf --set-interpreter "$loader" --force-rpath --set-rpath $out/lib $out/bin/"$2"
}

wheels() { # requirements, folder
  (PATH=$HOST_PATH; python3 -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary=:all: --no-compile --root-user-action ignore --no-cache-dir --target "$2" --requirement "$1")
}

compiled() { # python, folder
  "$1" -m compileall -q --invalidation-mode unchecked-hash "$2"
}

move_python() {
  local prefix version
  read -r prefix version < <(PATH=$HOST_PATH; python3 -c 'import sys; print(sys.base_prefix, "python%d.%d" % sys.version_info[:2])')
  move "$prefix/bin/$version" "$version"
  mkdir -p $out/lib
  cp -r "$prefix/lib/$version" $out/lib/
  chmod -R u+w $out/lib
  rm -rf $out/lib/$version/{site-packages,test,idlelib,tkinter,lib2to3,ensurepip} $out/lib/$version/config-*
  copy_libraries $out/lib/$version/lib-dynload/*.so
  # What the C library opens by itself, and what wheels take for granted.
  local library
  for library in libgcc_s.so.1 libstdc++.so.6 librt.so.1 libpthread.so.0 libdl.so.2; do
    cp -Ln "$(cc -print-file-name=$library)" $out/lib/
  done
  forget_places $out/lib/libpython* $out/lib/$version/lib-dynload/*.so
  find $out/lib -name __pycache__ -prune -exec rm -rf {} +
  ln -s $version $out/bin/python3
  compiled $out/bin/python3 $out/lib/$version
}

python_environment() { # python, requirements
  local version
  version=$(readlink "$1/bin/python3")
  mkdir -p $out/bin
  ln -s "$1/bin/$version" $out/bin/python3
  printf 'home = %s\ninclude-system-site-packages = false\n' "$1/bin" >$out/pyvenv.cfg
  wheels "$2" $out/lib/$version/site-packages
  compiled $out/bin/python3 $out/lib/$version/site-packages
}
