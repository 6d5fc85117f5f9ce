# As much of NixOS' modules as the flake's module and its test use: which options there are, what they
# may be set to, and what follows. Anything else that is set is an error.
{ lib, pkgs }:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    foldl'
    isAttrs
    isFunction
    mapAttrs
    ;
  # Commands of a unit: arguments are quoted as JSON is, and systemd expands nothing in them.
  utils.escapeSystemdExecArgs =
    arguments:
    let
      escape = argument: lib.replaceStrings [ "%" "$" ] [ "%%" "$$" ] (builtins.toJSON (textOf argument));
      textOf =
        argument:
        if builtins.isString argument then
          argument
        else if builtins.isPath argument then
          "${argument}"
        else if builtins.isInt argument || builtins.isFloat argument || argument ? outPath then
          toString argument
        else
          throw "an argument of a unit's command is a string, a path, a number or a derivation";
    in
    lib.concatStringsSep " " (map escape arguments);

  any = lib.mkOption {
    type = {
      name = "anything";
      check = _: true;
    };
    default = null;
    description = "";
  };
  boolean = lib.mkEnableOption "";
  number = any // {
    type = lib.types.nullOr lib.types.int;
  };
  texts = any // {
    type = lib.types.listOf lib.types.str;
    default = [ ];
  };

  # Of NixOS itself. `anyName` stands for a name of one's own.
  base = {
    assertions = any // {
      default = [ ];
    };
    environment.systemPackages = any // {
      type = lib.types.listOf lib.types.package;
      default = [ ];
    };
    virtualisation = {
      docker.enable = boolean;
      cores = number;
      diskSize = number;
      memorySize = number;
    };
    systemd.services.anyName = {
      description = any;
      wants = texts;
      after = texts;
      startAt = any;
      restartIfChanged = boolean;
      environment.anyName = any // {
        type = lib.types.str;
      };
      serviceConfig = lib.genAttrs [
        "EnvironmentFile"
        "ExecStart"
        "KillMode"
        "LimitNOFILE"
        "NoNewPrivileges"
        "PrivateTmp"
        "ProtectHome"
        "ProtectSystem"
        "StateDirectory"
        "TimeoutStopSec"
        "Type"
        "WorkingDirectory"
      ] (_: any);
    };
  };

  merge =
    one: other:
    if isAttrs one && isAttrs other && !(one ? isOption) && one.type or null != "derivation" then
      one // mapAttrs (name: value: if one ? ${name} then merge one.${name} value else value) other
    else
      other;

  # A condition asks for what is set elsewhere, so it has to stand where a value does and no higher.
  pushed =
    setting:
    if setting ? isIf then
      let
        conditional =
          content:
          if isAttrs content && content.type or null != "derivation" then
            mapAttrs (_: conditional) content
          else
            setting // { inherit content; };
      in
      conditional setting.content
    else
      setting;

  evaluate =
    root:
    let
      opened =
        module:
        if isFunction module then
          module {
            inherit
              config
              lib
              pkgs
              utils
              ;
          }
        else
          module;
      collect = module: concatMap collect ((opened module).imports or [ ]) ++ [ (opened module) ];
      modules = collect root;
      options = foldl' merge base (map (module: module.options or { }) modules);
      settings =
        module:
        module.config or (removeAttrs module [
          "_file"
          "imports"
          "key"
          "options"
        ]);
      config = resolve "" options (foldl' merge { } (map (module: pushed (settings module)) modules));
    in
    config;

  # What was set, checked against what may be, with defaults for the rest.
  resolve =
    place: options: set:
    if options ? isOption then
      if set ? isIf then
        (if set.condition then resolve place options set.content else options.default)
      else if options.type.check set then
        set
      else
        throw "the option `${place}` is no ${options.type.name}"
    else if options ? anyName then
      mapAttrs (name: resolve "${place}.${name}" options.anyName) set
    else
      let
        unknown = builtins.filter (name: !(elem name (attrNames options))) (attrNames set);
        one =
          name: option:
          let
            inner = if place == "" then name else "${place}.${name}";
          in
          if set ? ${name} then
            resolve inner option set.${name}
          else if option ? isOption then
            option.default
          else
            resolve inner option { };
      in
      if unknown != [ ] then
        throw "the option `${place}.${builtins.head unknown}` does not exist"
      else
        mapAttrs one options;
in
evaluate
