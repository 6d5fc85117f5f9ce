# The smoke run, in containers and as processes, on a NixOS machine with only this flake.
{
  testers,
  appliance,
  module,
}:
testers.runNixOSTest {
  name = "perf-api";

  nodes.machine = {
    imports = [ module ];
    services.perf-api = {
      enable = true;
      spec = "quick";
      extraArgs = [
        "--stores=redis,valkey"
        "--launcher=process"
        "--results=/var/lib/perf-api/100% of $HOME"
      ];
    };
    environment.systemPackages = [ appliance.perf-api ];
    virtualisation = {
      cores = 4;
      memorySize = 4096;
      diskSize = 8192;
    };
  };

  testScript = ''
    machine.wait_for_unit("docker.service")
    machine.succeed("mkdir work")
    quick = "cd work && perf-api quick --stores redis,valkey"
    told = machine.succeed(f"{quick} --launcher docker 2>&1")
    assert "loaded the image perf-api/express" in told, told
    machine.succeed(f"{quick} --launcher process")
    machine.succeed("cd work && perf-api results verify --all")
    # Two launchers run what is the same in the store; the comparison has to be asked for all the same.
    status, told = machine.execute("cd work && perf-api report --compare latest~1 latest --force 2>&1")
    assert status in (0, 4), told
    machine.fail("docker ps --all --quiet | grep .")

    machine.succeed("systemctl start perf-api.service")
    machine.succeed("perf-api results verify --all --results '/var/lib/perf-api/100% of $HOME'")
  '';
}
