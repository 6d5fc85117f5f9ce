{
  component,
  valkey,
}:
component {
  name = "valkey";
  named = ".venv/bin/valkey-server";
  program = "${valkey}/bin/valkey-server";
  # The lock file of the wheel, which is not used here.
  install = "rm $out/valkey/requirements.in $out/valkey/requirements.txt";
}
