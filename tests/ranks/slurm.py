"""A Slurm of one machine for tests: munged, slurmctld and slurmd of Debian's slurm-wlm, in a folder of their own."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

DAEMONS = ("munged", "slurmctld", "slurmd")

CONFIGURATION = """
ClusterName=test
SlurmctldHost=%(host)s(127.0.0.1)
SlurmctldPort=%(controller)d
SlurmdPort=%(daemon)d
AuthType=auth/munge
AuthInfo=socket=%(folder)s/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation=%(folder)s/state
SlurmdSpoolDir=%(folder)s/spool
SlurmctldPidFile=%(folder)s/slurmctld.pid
SlurmdPidFile=%(folder)s/slurmd.pid
SlurmctldLogFile=%(folder)s/slurmctld.log
SlurmdLogFile=%(folder)s/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
NodeName=%(host)s NodeAddr=127.0.0.1 CPUs=2 RealMemory=%(memory)d State=UNKNOWN
PartitionName=all Nodes=%(host)s Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Why there can be no Slurm here; None: there can."""
    if os.geteuid() != 0:
        return "its daemons want root"
    try:
        socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return "the machine's own name has no address"
    absent = [name for name in DAEMONS + ("srun", "sbatch") if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None]
    return f"{', '.join(absent)} not installed (slurm-wlm)" if absent else None


def free_port():
    with socket.socket() as wire:
        wire.bind(("127.0.0.1", 0))
        return wire.getsockname()[1]


class Slurm:
    """Runs while the object is used as a context; `environment` is that of srun and sbatch."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin", "SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self):
        for part in ("state", "spool"):
            (self.folder / part).mkdir(parents=True)
        (self.folder / "slurm.conf").write_text(CONFIGURATION % {
            "host": socket.gethostname().split(".")[0], "folder": self.folder, "controller": free_port(), "daemon": free_port(),
            "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20})
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.folder.chmod(0o755)
        for path in (key, self.folder):
            shutil.chown(path, "munge", "munge")
        own = {name: f"--{name}={self.folder}/munge.{name.split('-')[0]}" for name in ("key-file", "socket", "pid-file", "log-file", "seed-file")}
        self.run(["runuser", "-u", "munge", "--", "munged", "--force", *own.values()])
        self.run(["slurmctld"])
        self.run(["slurmd"])
        until = time.monotonic() + 60
        while "idle" not in self.run(["sinfo", "--noheader"], check=False).stdout:
            if time.monotonic() > until:
                raise RuntimeError("no node came up: " + (self.folder / "slurmctld.log").read_text()[-2000:])
            time.sleep(0.2)
        return self

    def __exit__(self, *_):
        for name in ("slurmd", "slurmctld", "munge"):
            file = self.folder / f"{name}.pid"
            if not file.exists():
                continue
            number = int(file.read_text())
            os.kill(number, signal.SIGTERM)
            until = time.monotonic() + 30
            while pathlib.Path(f"/proc/{number}").exists() and time.monotonic() < until:
                time.sleep(0.05)

    def run(self, words, check=True, timeout=300):
        return subprocess.run(list(map(str, words)), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, text=True, check=check, timeout=timeout)
