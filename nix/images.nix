# The images of the components: for each a <name>.json, as tools/make-images writes it.
#
# An image is stored as the program that writes its archive, which avoids a second copy in the store. The
# program runs once here for the image's id and configuration, which are reproducible: all times are fixed.
{
  lib,
  runCommand,
  jq,
  dockerTools,
  components,
}:
let
  imageOf =
    name: component:
    dockerTools.streamLayeredImage {
      name = "perf-api/${name}";
      created = "1970-01-01T00:00:01Z";
      config = {
        # The folder includes its closure: interpreter, packages, libraries.
        WorkingDir = "${component}/${name}";
        User = "10001:10001";
      };
      extraCommands = "mkdir -m 1777 tmp";
    };

  describe =
    name: component:
    let
      image = imageOf name component;
    in
    ''
      echo "reading what is in ${name}'s image"
      ${image} | tar --extract --file=- --wildcards '*.json'
      config=$(jq --raw-output '.[0].Config' manifest.json)
      jq --null-input \
        --arg id "sha256:''${config%.json}" \
        --arg reference "${image.imageName}:${image.imageTag}" \
        --arg stream ${image} \
        --rawfile configuration "$config" \
        '{$id, $reference, $stream, $configuration}' >$out/${name}.json
    '';

  # Dragonfly's image is the official one, pulled by digest.
  made = removeAttrs components [ "dragonfly" ];
in
runCommand "perf-api-images" { nativeBuildInputs = [ jq ]; } ''
  set -o pipefail
  mkdir $out
  ${lib.concatStringsSep "\n" (lib.mapAttrsToList describe made)}
''
