"""One running (or resting) mesh: its folder, and the record its supervisor keeps there for everybody else."""

import os
import tempfile
from enum import StrEnum
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from cli.errors import DossierError
from cli.ports import Ports

COMMAND = "command"
"""Holds the certificate of whoever runs the command, whose tokens name the user."""
DATA_DIR_VARIABLE = "DOSSIER_DATA_DIR"


class State(StrEnum):
    """Where one process is; `backoff` is a crashed one that waits for its next start."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    BACKOFF = "backoff"
    FAILED = "failed"


class Phase(StrEnum):
    """Where the whole instance is."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProcessMark(_Record):
    """A process id that cannot be mistaken for a later process that got the same number."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "ProcessMark | None":
        try:
            return cls(pid=pid, created=psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def process(self) -> psutil.Process | None:
        """Find the process while it lives."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1
            alive = same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


class ProcessRecord(_Record):
    name: str
    state: State
    detail: str = ""
    """Why it is not ready, in its own words."""
    mark: ProcessMark | None = None
    restarts: int = 0
    stop_signal: int
    log: str


class Trouble(_Record):
    message: str
    hint: str


class InstanceRecord(_Record):
    phase: Phase
    step: str = ""
    """What the supervisor is doing while it starts."""
    trouble: Trouble | None = None
    supervisor: ProcessMark
    gateway_port: int
    first_service_port: int
    public_url: str
    """What webhooks' addresses begin with."""
    gateways: int = 1
    """How many gateways share the port."""
    database: str
    """`embedded` or `external`."""
    redis: str
    embedder: str = "external"
    database_url: str = ""
    """The admin's address of the embedded database; an external one is not written down."""
    redis_url: str = ""
    tls: bool = False
    """Whether its processes have certificates that it made itself."""
    processes: tuple[ProcessRecord, ...] = ()

    @property
    def ports(self) -> Ports:
        return Ports(self.gateway_port, self.first_service_port, self.gateways)


class Instance:
    """The paths of one instance, and its record."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.logs = home / "logs"
        self.keys = home / "keys"
        self.certificates = home / "certificates"
        self.postgres = home / "postgres"
        self.lock = home / "supervisor.lock"
        self._record = home / "instance.json"

    @classmethod
    def resolve(cls, data_dir: Path | None) -> "Instance":
        """Choose the option, then DOSSIER_DATA_DIR, then one fixed folder in the user's state directory."""
        if data_dir is None and (named := os.environ.get(DATA_DIR_VARIABLE)):
            data_dir = Path(named)
        if data_dir is None:
            state = os.environ.get("XDG_STATE_HOME")
            data_dir = (Path(state) if state else Path.home() / ".local" / "state") / "dossier"
        return cls(data_dir.expanduser().absolute())

    @property
    def signing_key(self) -> Path:
        return self.keys / "signing.jwk"

    @property
    def jwks(self) -> Path:
        return self.keys / "jwks.json"

    @property
    def key_encryption_key(self) -> Path:
        return self.keys / "kek"

    @property
    def ca(self) -> Path:
        return self.certificates / "ca.crt"

    def certificate(self, holder: str) -> Path:
        """Name the file of a process's certificate, or of `COMMAND`."""
        return self.certificates / f"{holder}.crt"

    def certificate_key(self, holder: str) -> Path:
        return self.certificates / f"{holder}.key"

    def make(self) -> None:
        """Make its folder and that of its logs, for its owner alone."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as trouble:
            raise DossierError(
                f"The instance's folder {self.home} cannot be made: {trouble.strerror} ({trouble.filename}).",
                hint="Name one that you may write to, with --data-dir or DOSSIER_DATA_DIR.",
            ) from trouble

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def read(self) -> InstanceRecord | None:
        try:
            text = self._record.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as trouble:
            raise DossierError(
                f"{self._record} cannot be read: {trouble.strerror}.",
                hint="Run the command as the user whose instance it is, or name another with --data-dir.",
            ) from trouble
        try:
            return InstanceRecord.model_validate_json(text)
        except ValidationError as failure:
            raise DossierError(
                f"{self._record} cannot be understood; another version of dossier wrote it.",
                hint="Stop that instance with the version that started it, then delete the file.",
            ) from failure

    def write(self, record: InstanceRecord) -> None:
        """Replace the record in one step, so that a reader never sees half of it."""
        descriptor, fresh = tempfile.mkstemp(dir=self.home, prefix=".instance-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(record.model_dump_json(indent=2).encode())
        Path(fresh).rename(self._record)

    def running(self) -> InstanceRecord | None:
        """Read the record while its supervisor lives."""
        record = self.read()
        return record if record and record.supervisor.process() else None

    def require_running(self) -> InstanceRecord:
        record = self.running()
        if record is None:
            raise DossierError(
                f"No instance is running in {self.home}.",
                hint="Start one with `dossier up`, or name another with --data-dir or DOSSIER_DATA_DIR.",
            )
        return record
