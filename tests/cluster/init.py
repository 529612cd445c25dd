"""The first process of a node: it lays out the node's file systems, then collects orphaned processes.

It runs alone in new network, process and mount namespaces, with the standard library only. When it ends, the kernel
ends every process of the node, and with the last of them the mounts and links are gone: that is why nothing can be
left behind, whatever was killed.

Over /run, /var/lib and /var/log lie memory file systems, so that the paths which containerd, the CNI plugins and the
kubelet have built in do not touch the machine's. The few kernel settings that a kubelet insists on writing are
covered by files that hold the wanted value already: it reads, is content, and the machine's settings stay.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

_KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def mount(*args: str) -> None:
    """Run mount(8)."""
    subprocess.run(["mount", *args], check=True)


def prepare(folder: Path, run_dir: Path) -> None:
    """Lay out the node's file systems; `folder` keeps the cluster's state, `run_dir` its sockets."""
    settings, kubelet, held = folder / "kernel", folder / "kubelet", folder / "run"
    for each in (settings, kubelet, held):
        each.mkdir(exist_ok=True)
    mount("--bind", str(run_dir), str(held))
    for covered in ("/run", "/var/lib", "/var/log"):
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", covered)
    run_dir.mkdir(parents=True)
    mount("--move", str(held), str(run_dir))
    Path("/var/lib/kubelet").mkdir()
    mount("--bind", str(kubelet), "/var/lib/kubelet")
    for name, value in _KERNEL_SETTINGS.items():
        setting = Path("/proc/sys") / name
        if setting.exists() and setting.read_text().strip() != value:
            cover = settings / name.replace("/", ".")
            cover.write_text(f"{value}\n")
            mount("--bind", str(cover), str(setting))
    mount("--make-rshared", "/")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def collect() -> None:
    """Wait for children for ever; orphans of the node become this process's children."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.sigwait({signal.SIGCHLD})


def main() -> None:
    """Prepare, say so through the file `init.json`, then collect."""
    folder, run_dir = Path(sys.argv[1]), Path(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    prepare(folder, run_dir)
    partial = folder / ".init.json"
    partial.write_text(json.dumps({"prepared": True}))
    partial.replace(folder / "init.json")
    collect()


if __name__ == "__main__":
    main()
