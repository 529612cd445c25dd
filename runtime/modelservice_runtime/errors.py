"""Every way in which the runtime refuses to go on, as one tree.

A fault carries what the outside needs: the exit code that the operator reads from the container's status, the reason
that it writes into the `ModelService`, a message that says what is wrong and where, and a hint that says what to do
next. Code raises the class that names the situation; `__main__` turns it into the termination message and the exit
code. The module imports the standard library only, because it is loaded before anything heavy.

    RuntimeFault
    ├── BadSettings              64  a setting, flag or variable is wrong
    ├── UnusableModel            65  the files are there but this runtime cannot serve them
    ├── ModelNotFound            66  the address names nothing
    ├── AcceleratorMissing       67  an accelerator was promised and none is visible
    ├── SourceUnavailable        69  the source does not answer, retries included
    │   └── ChecksumMismatch     69  the bytes that arrived are not the bytes that were announced
    ├── DiskFull                 71  the model does not fit the volume
    ├── NotVerified              76  the model answers the golden request in another way than it should
    ├── NotAllowed               77  the credentials are missing or refused
    │   └── ModelGated           77  the credentials are good, the licence was not accepted
    └── EngineFault               1  the engine failed in a way that a restart may cure
        └── CudaOutOfMemory       1  the model or its cache does not fit the accelerator's memory
"""

from enum import IntEnum, StrEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of `modelservice-runtime`, after BSD sysexits where one fits."""

    DONE = 0
    BAD_SETTINGS = 64
    UNUSABLE_MODEL = 65
    MODEL_NOT_FOUND = 66
    ACCELERATOR_MISSING = 67
    SOURCE_UNAVAILABLE = 69
    DISK_FULL = 71
    NOT_VERIFIED = 76
    NOT_ALLOWED = 77


class Reason(StrEnum):
    """Reasons on the termination message; the operator repeats them in conditions, so they are part of the API."""

    COMPLETED = "Completed"
    BAD_SETTINGS = "BadSettings"
    UNSUPPORTED_MODEL = "UnsupportedModel"
    MODEL_NOT_FOUND = "ModelNotFound"
    ACCELERATOR_MISSING = "AcceleratorMissing"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    DISK_FULL = "DiskFull"
    MODEL_AUTH_FAILED = "ModelAuthFailed"
    MODEL_GATED = "ModelGated"
    GOLDEN_REQUEST_FAILED = "GoldenRequestFailed"
    ENGINE_ERROR = "EngineError"
    CUDA_OUT_OF_MEMORY = "CudaOutOfMemory"


class RuntimeFault(Exception):  # noqa: N818 - faults are named for the situation, as HTTP and sysexits do
    """Base of all faults. `str(fault)` is the message; `hint` is the way out and is never empty."""

    exit_code: ClassVar[int] = 1
    reason: ClassVar[Reason] = Reason.ENGINE_ERROR
    default_hint: ClassVar[str] = "read the log above this message"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.default_hint


class BadSettings(RuntimeFault):
    """A setting is unknown, malformed or contradicts another one."""

    exit_code = ExitCode.BAD_SETTINGS
    reason = Reason.BAD_SETTINGS
    default_hint = "run `modelservice-runtime serve --print-config` to see every key and its value"


class UnusableModel(RuntimeFault):
    """The model's files exist, and this runtime cannot or will not serve them."""

    exit_code = ExitCode.UNUSABLE_MODEL
    reason = Reason.UNSUPPORTED_MODEL
    default_hint = "the folder must hold config.json and *.safetensors of an architecture that transformers knows"


class ModelNotFound(RuntimeFault):
    """The address, revision or folder names nothing."""

    exit_code = ExitCode.MODEL_NOT_FOUND
    reason = Reason.MODEL_NOT_FOUND
    default_hint = "check spec.model.uri and spec.model.revision"


class AcceleratorMissing(RuntimeFault):
    """The settings promise an accelerator and the process sees none."""

    exit_code = ExitCode.ACCELERATOR_MISSING
    reason = Reason.ACCELERATOR_MISSING
    default_hint = "check the device plugin, the runtime class and the driver of the node"


class SourceUnavailable(RuntimeFault):
    """The source does not answer as it should.

    `transient` says that another try may work, `progressed` that this one moved bytes which the next need not move
    again, `retry_after` how many seconds the source asks to be left alone.
    """

    exit_code = ExitCode.SOURCE_UNAVAILABLE
    reason = Reason.SOURCE_UNAVAILABLE
    default_hint = "check that the pod may reach the source: DNS, proxies, network policies, HF_ENDPOINT"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        transient: bool = True,
        progressed: bool = False,
        retry_after: float = 0,
    ) -> None:
        super().__init__(message, hint=hint)
        self.transient = transient
        self.progressed = progressed
        self.retry_after = retry_after


class ChecksumMismatch(SourceUnavailable):
    """A file arrived complete and its digest is not the announced one."""

    reason = Reason.CHECKSUM_MISMATCH
    default_hint = "the source or a proxy in between serves damaged bytes; compare the digest at the source"


class DiskFull(RuntimeFault):
    """The target volume has less space than the model needs."""

    exit_code = ExitCode.DISK_FULL
    reason = Reason.DISK_FULL
    default_hint = "enlarge the volume or the pod's ephemeral-storage limit, or leave files out with spec.model.files"


class NotVerified(RuntimeFault):
    """The model loads, and does not answer the golden request as it should."""

    exit_code = ExitCode.NOT_VERIFIED
    reason = Reason.GOLDEN_REQUEST_FAILED
    default_hint = "compare the answer with spec.rollout.verification.expect: is it the right model and dtype?"


class NotAllowed(RuntimeFault):
    """The source wants credentials, or refuses the ones that were given."""

    exit_code = ExitCode.NOT_ALLOWED
    reason = Reason.MODEL_AUTH_FAILED
    default_hint = "name a Secret with a valid token in spec.model.secretRef"


class ModelGated(NotAllowed):
    """The token is valid, and its owner has not been granted access to this model."""

    reason = Reason.MODEL_GATED
    default_hint = "accept the model's terms on the hub with the account that owns the token"


class EngineFault(RuntimeFault):
    """The engine cannot go on; the kubelet starts it again."""


class CudaOutOfMemory(EngineFault):
    """The accelerator's memory does not hold the model and its cache."""

    reason = Reason.CUDA_OUT_OF_MEMORY
    default_hint = "lower engine.maxContext or engine.maxConcurrency, or ask for a larger accelerator"
