# `dockerTools.streamLayeredImage`: a program that writes an image's archive. All layers are one here.
{
  lib,
  runCommand,
  system,
}:
{
  name,
  config ? { },
  created ? "1970-01-01T00:00:01Z",
  extraCommands ? "",
}:
let
  settings =
    runCommand "settings.json" { }
      "echo ${lib.escapeShellArg (builtins.toJSON config)} >$out";
  parts =
    runCommand "image-parts"
      {
        exportReferencesGraph = [
          "closure"
          settings
        ];
      }
      ''
        mkdir -p $out/root
        # Of each object: its path, what made it, and how many objects follow that it refers to.
        awk '{ print; getline; getline count; while (count-- > 0) getline }' closure |
          grep -vx ${settings} | sort -u | sed 's|^/||' >$out/objects
        (cd $out/root; ${extraCommands})
        source ${./archive.sh}
        layer=$(write_layer $out | sha256sum | cut -d' ' -f1)
        architecture=${if system == "aarch64-linux" then "arm64" else "amd64"}
        printf '{"architecture":"%s","os":"linux","created":"${created}","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"${created}"}]}' \
          $architecture "$(cat ${settings})" $layer >$out/config.json
        id=$(sha256sum $out/config.json | cut -d' ' -f1)
        mv $out/config.json $out/$id.json
        printf '[{"Config":"%s.json","RepoTags":["${name}:${imageTag}"],"Layers":["layer.tar"]}]' $id >$out/manifest.json
      '';
  imageTag = builtins.substring 0 32 (builtins.hashString "sha256" (builtins.toJSON config));
in
runCommand "stream-image"
  {
    passthru = {
      imageName = name;
      inherit imageTag;
    };
  }
  ''
    {
      printf '#!/bin/bash\nset -euo pipefail\nPATH=%q\n' "$STDENV"
      cat ${./archive.sh}
      echo write_archive ${parts}
    } >$out
    chmod 755 $out
  ''
