# The part of nixpkgs' `lib` that the flake uses.
let
  inherit (builtins)
    all
    any
    attrNames
    concatMap
    concatStringsSep
    elem
    filter
    fromTOML
    functionArgs
    hasAttr
    head
    intersectAttrs
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isString
    listToAttrs
    mapAttrs
    match
    readFile
    replaceStrings
    stringLength
    substring
    toString
    ;
  escapeShellArg = argument: "'${replaceStrings [ "'" ] [ "'\\''" ] (toString argument)}'";
  genAttrs =
    names: value:
    listToAttrs (
      map (name: {
        inherit name;
        value = value name;
      }) names
    );
  # What nixpkgs adds to the result of a file: it is part of every attribute set, and no output of a flake.
  overridable =
    result:
    let
      added = {
        override = throw "the stub overrides nothing";
        overrideDerivation = throw "the stub overrides nothing";
      };
    in
    if isAttrs result then
      result // added
    else if isFunction result then
      added // { __functor = _: result; }
    else
      result;
  type = name: check: { inherit name check; };
  isPackage = value: isAttrs value && value.type or null == "derivation";
  asFileset =
    files:
    if files ? within then
      files
    else if builtins.pathExists files then
      {
        within = [ (toString files) ];
        without = [ ];
      }
    else
      throw "a set of files names one that is not there: ${toString files}";
  isPath = value: builtins.isPath value || isString value && substring 0 1 value == "/";
in
{
  inherit
    attrNames
    concatStringsSep
    escapeShellArg
    genAttrs
    head
    mapAttrs
    replaceStrings
    ;

  callPackageWith =
    packages: file: overrides:
    let
      function = if isFunction file then file else import file;
      wanted = functionArgs function;
      given = intersectAttrs wanted packages // overrides;
      missing = filter (name: !wanted.${name} && !(hasAttr name given)) (attrNames wanted);
    in
    if missing == [ ] then
      overridable (function given)
    else
      throw "there is no package `${head missing}`, which ${toString file} asks for";

  getExe =
    package:
    "${package}/bin/${package.meta.mainProgram or (throw "${package.name} has no mainProgram")}";
  getName = package: package.pname or package.name;
  hasInfix = part: text: replaceStrings [ part ] [ "" ] text != text;
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  importTOML = file: fromTOML (readFile file);
  mapAttrsToList = function: set: map (name: function name set.${name}) (attrNames set);
  optional = condition: value: if condition then [ value ] else [ ];

  fetchers.proxyImpureEnvVars = [
    "http_proxy"
    "https_proxy"
    "NIX_SSL_CERT_FILE"
  ];
  licenses = {
    bsl11.free = false;
    mit.free = true;
  };
  platforms.linux = [
    "x86_64-linux"
    "aarch64-linux"
  ];

  # A set of files: what is in it, and what is not although it is below that.
  fileset = {
    difference = one: other: asFileset one // { without = (asFileset other).within; };
    maybeMissing = file: {
      within = [ (toString file) ];
      without = [ ];
    };
    toSource =
      { root, fileset }:
      let
        files = asFileset fileset;
        isBelow = above: path: path == above || substring 0 (stringLength above + 1) path == "${above}/";
      in
      builtins.path {
        name = "source";
        path = root;
        filter =
          path: _:
          any (file: isBelow file path || isBelow path file) files.within
          && !any (file: isBelow file path) files.without;
      };
    unions =
      files:
      let
        sets = map asFileset files;
      in
      if all (set: set.without == [ ]) sets then
        {
          within = concatMap (set: set.within) sets;
          without = [ ];
        }
      else
        throw "the stub has no union of differences";
  };

  # Options: see modules.nix.
  mkDefault = value: value;
  mkEnableOption = description: {
    type = type "boolean" isBool;
    default = false;
    inherit description;
    isOption = true;
  };
  mkIf = condition: content: {
    isIf = true;
    inherit condition content;
  };
  mkOption =
    {
      type,
      description,
      default ? throw "an option without a default was not set",
      defaultText ? null,
      example ? null,
    }:
    {
      inherit type default description;
      isOption = true;
    };
  types = {
    either =
      one: other: type "${one.name} or ${other.name}" (value: one.check value || other.check value);
    enum = values: type "one of ${concatStringsSep ", " values}" (value: elem value values);
    int = type "integer" isInt;
    listOf = one: type "list of ${one.name}" (value: isList value && all one.check value);
    nullOr = one: type "null or ${one.name}" (value: value == null || one.check value);
    package = type "package" isPackage;
    path = type "path" isPath;
    str = type "string" (value: isString value && match ".*\n.*" value == null);
  };
}
