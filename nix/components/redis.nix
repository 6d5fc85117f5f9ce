{
  component,
  redis,
}:
component {
  name = "redis";
  named = "redis-server";
  program = "${redis}/bin/redis-server";
}
