{
  component,
  valkey,
}:
component {
  name = "valkey";
  named = ".venv/bin/valkey-server";
  program = "${valkey}/bin/valkey-server";
  # The lock file of the wheel that does not run here.
  install = "rm $out/valkey/requirements.in $out/valkey/requirements.txt";
}
