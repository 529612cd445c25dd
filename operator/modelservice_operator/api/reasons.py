"""Condition types and reasons: the words of the API that people and alerts depend on.

A reason is never renamed and never changes its meaning. Each has a description, from which the documentation is made,
and a hint, which the status shows beside a failure when nothing more specific is known.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ConditionType(StrEnum):
    """Condition types; all have positive polarity: True is the good state."""

    READY = "Ready"
    SPEC_VALID = "SpecValid"
    MODEL_AVAILABLE = "ModelAvailable"
    SCHEDULED = "Scheduled"
    RUNTIME_READY = "RuntimeReady"
    PROGRESSING = "Progressing"
    NETWORK_READY = "NetworkReady"
    AUTOSCALER_READY = "AutoscalerReady"
    IN_SYNC = "InSync"
    VERIFIED = "Verified"
    SUSPENDED = "Suspended"
    IDLE = "Idle"


class Reason(StrEnum):
    """Reasons of conditions and failures; `DETAILS` says what each means and what to do."""

    # SpecValid
    INVALID_SPEC = "InvalidSpec"
    PROFILE_NOT_FOUND = "ProfileNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105
    REMOTE_CODE_NOT_ALLOWED = "RemoteCodeNotAllowed"
    UNSUPPORTED_BY_SERVER = "UnsupportedByServer"
    CACHE_CLAIM_NOT_FOUND = "CacheClaimNotFound"
    CACHE_CLAIM_NOT_SHARED = "CacheClaimNotShared"
    QUOTA_EXCEEDED = "QuotaExceeded"
    NAME_CONFLICT = "NameConflict"
    TEMPLATE_ERROR = "TemplateError"
    # ModelAvailable
    RESOLVING = "Resolving"
    DOWNLOADING = "Downloading"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_AUTH_FAILED = "ModelAuthFailed"
    MODEL_GATED = "ModelGated"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    DISK_FULL = "DiskFull"
    LOADER_OOM_KILLED = "LoaderOOMKilled"
    UNSUPPORTED_MODEL = "UnsupportedModel"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    MODEL_TOO_LARGE = "ModelTooLarge"
    # Scheduled
    INSUFFICIENT_GPU = "InsufficientGPU"
    INSUFFICIENT_RESOURCES = "InsufficientResources"
    UNTOLERATED_TAINT = "UntoleratedTaint"
    NO_MATCHING_NODE = "NoMatchingNode"
    CLAIM_PENDING = "ClaimPending"
    # RuntimeReady
    IMAGE_PULL_FAILED = "ImagePullFailed"
    STARTING = "Starting"
    CRASH_LOOPING = "CrashLooping"
    OOM_KILLED = "OOMKilled"
    CUDA_OUT_OF_MEMORY = "CudaOutOfMemory"
    ACCELERATOR_MISSING = "AcceleratorMissing"
    ENGINE_ERROR = "EngineError"
    PROBE_TIMEOUT = "ProbeTimeout"
    BAD_SETTINGS = "BadSettings"
    # Verified
    GOLDEN_REQUEST_FAILED = "GoldenRequestFailed"
    # Progressing
    ROLLOUT_BLOCKED = "RolloutBlocked"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    ROLLED_BACK = "RolledBack"
    NEW_TEMPLATE_AVAILABLE = "NewTemplateAvailable"
    # NetworkReady
    SERVICE_MISSING = "ServiceMissing"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    # NetworkReady and AutoscalerReady
    CRD_MISSING = "CRDMissing"
    # AutoscalerReady
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    CONFLICT = "Conflict"
    # InSync
    DRIFT_DETECTED = "DriftDetected"
    APPLY_FAILED = "ApplyFailed"
    # Any condition whose cause lies elsewhere, or that has not been looked at for this generation
    PENDING = "Pending"
    # True
    READY = "Ready"
    ACCEPTED = "Accepted"
    AVAILABLE = "Available"
    ASSIGNED = "Assigned"
    SERVING = "Serving"
    VERIFIED = "Verified"
    ROLLING_OUT = "RollingOut"
    ROLLOUT_COMPLETE = "RolloutComplete"
    CANARY_SERVING = "CanaryServing"
    REACHABLE = "Reachable"
    SCALING_ACTIVE = "ScalingActive"
    APPLIED = "Applied"
    SCALED_TO_ZERO = "ScaledToZero"
    NO_ACTIVATOR = "NoActivator"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"


@dataclass(frozen=True, slots=True)
class ReasonDetail:
    """What a reason means, and what to do when nothing more specific is known (empty for good states)."""

    description: str
    hint: str = ""


_SPEC: Final[dict[Reason, ReasonDetail]] = {
    Reason.INVALID_SPEC: ReasonDetail(
        "The spec breaks a rule that the API server did not enforce, for example because its CRD is older.",
        "Correct the field that the message names, and bring the CRDs to the operator's version.",
    ),
    Reason.PROFILE_NOT_FOUND: ReasonDetail(
        "spec.runtime.profileRef names a RuntimeProfile that does not exist.",
        "List the profiles with `kubectl get runtimeprofiles` and correct spec.runtime.profileRef.name.",
    ),
    Reason.SECRET_NOT_FOUND: ReasonDetail(
        "A Secret, or a key in it, that the pod needs does not exist in the namespace.",
        "Create the Secret with the key that the message names, in the namespace of the ModelService.",
    ),
    Reason.REMOTE_CODE_NOT_ALLOWED: ReasonDetail(
        "spec.model.trustRemoteCode asks for code of the model to run, and no RuntimeProfile in use allows it.",
        "Name a RuntimeProfile with spec.allowRemoteCode: true in spec.runtime.profileRef, which the owner of the "
        "cluster can make, or remove spec.model.trustRemoteCode.",
    ),
    Reason.UNSUPPORTED_BY_SERVER: ReasonDetail(
        "The spec asks for what the server of its RuntimeProfile does not do, or for a metric that the profile does "
        "not name.",
        "Remove the field that the message names, or name another RuntimeProfile in spec.runtime.profileRef: one that "
        "has what the message says is missing, or one without spec.server.",
    ),
    Reason.CACHE_CLAIM_NOT_FOUND: ReasonDetail(
        "The PersistentVolumeClaim of spec.cache does not exist in the namespace.",
        "Create it, or correct spec.cache.claimName; that of strategy Node comes with the namespace in "
        "nodeCache.namespaces of the operator's chart.",
    ),
    Reason.CACHE_CLAIM_NOT_SHARED: ReasonDetail(
        "The PersistentVolumeClaim of spec.cache cannot be mounted on several nodes, and several pods may need it.",
        "Use a claim with the access mode ReadWriteMany, or one replica with spec.rollout.strategy: Recreate.",
    ),
    Reason.QUOTA_EXCEEDED: ReasonDetail(
        "A ResourceQuota of the namespace refuses the pods.",
        "Raise the quota, or lower spec.resources, spec.accelerator.count or spec.replicas.",
    ),
    Reason.NAME_CONFLICT: ReasonDetail(
        "An object that the operator does not own already has the name of a child; it is left untouched.",
        "Rename the ModelService, or remove the object that the message names.",
    ),
    Reason.TEMPLATE_ERROR: ReasonDetail(
        "A child could not be rendered from the spec.",
        "Correct the field that the message names; if none is named, report the message as a defect.",
    ),
}

_MODEL: Final[dict[Reason, ReasonDetail]] = {
    Reason.RESOLVING: ReasonDetail("The model's revision is being looked up."),
    Reason.DOWNLOADING: ReasonDetail("The model's files are being fetched."),
    Reason.MODEL_NOT_FOUND: ReasonDetail(
        "The source has no such model, revision or path.",
        "Check spec.model.uri and spec.model.revision for typing errors.",
    ),
    Reason.MODEL_AUTH_FAILED: ReasonDetail(
        "The source refused the credentials, or wanted some and got none.",
        "Point spec.model.secretRef at a Secret with a valid key `token` (hf) or `authorization` (https), or with the "
        "variables of the store (s3, gs, az).",
    ),
    Reason.MODEL_GATED: ReasonDetail(
        "The model is gated and the account of the token has not been granted access.",
        "Accept the model's licence with the account that owns the token; it is tried again within minutes, and at "
        "once when the annotation modelservice.dev/preflight of the ModelService changes.",
    ),
    Reason.CHECKSUM_MISMATCH: ReasonDetail(
        "A downloaded file is not the one that the source announced.",
        "Retry; if it happens again, the source or a proxy on the way alters files.",
    ),
    Reason.DISK_FULL: ReasonDetail(
        "The node's disk, or the pod's share of it, is too small for the model.",
        "Narrow spec.model.files, raise ephemeral-storage in spec.loader.resources, or use nodes with more disk.",
    ),
    Reason.LOADER_OOM_KILLED: ReasonDetail(
        "The kernel ended the fetch container because it went over its memory limit.",
        "Raise spec.loader.resources.limits.memory.",
    ),
    Reason.UNSUPPORTED_MODEL: ReasonDetail(
        "The files are not a model that the runtime can serve.",
        "Use a transformers model with safetensors weights, and a spec.model.task that fits its architecture.",
    ),
    Reason.SOURCE_UNAVAILABLE: ReasonDetail(
        "The model's source cannot be reached, or answers with errors.",
        "Check that the pod's network reaches the host that the message names; HF_ENDPOINT in spec.runtime.env "
        "selects a mirror.",
    ),
    Reason.MODEL_TOO_LARGE: ReasonDetail(
        "The model's weights do not fit the memory of the accelerators that a replica gets.",
        "Serve a smaller model, raise spec.accelerator.count, or choose a RuntimeProfile with larger accelerators.",
    ),
}

_SCHEDULING: Final[dict[Reason, ReasonDetail]] = {
    Reason.INSUFFICIENT_GPU: ReasonDetail(
        "No node has enough free accelerators.",
        "Free accelerators, add nodes, or lower spec.accelerator.count or spec.replicas.",
    ),
    Reason.INSUFFICIENT_RESOURCES: ReasonDetail(
        "No node has enough free CPU, memory or disk, or room for another pod.",
        "Free resources, add nodes, or lower spec.resources.requests.",
    ),
    Reason.UNTOLERATED_TAINT: ReasonDetail(
        "The nodes that would fit have a taint that the pod does not tolerate.",
        "Add the toleration to spec.scheduling.tolerations or to the RuntimeProfile.",
    ),
    Reason.NO_MATCHING_NODE: ReasonDetail(
        "No node matches the node selector or the affinity.",
        "Compare spec.scheduling, spec.accelerator.product and the RuntimeProfile with `kubectl get nodes "
        "--show-labels`.",
    ),
    Reason.CLAIM_PENDING: ReasonDetail(
        "A volume claim or resource claim of the pod is not bound.",
        "Look at the claim that the message names with `kubectl describe`.",
    ),
}

_RUNTIME: Final[dict[Reason, ReasonDetail]] = {
    Reason.IMAGE_PULL_FAILED: ReasonDetail(
        "A container image, or a model image of oci://, cannot be pulled.",
        "Check the image's name, and spec.security.imagePullSecrets if the registry is private.",
    ),
    Reason.STARTING: ReasonDetail("The server is starting: importing, loading the model or warming up."),
    Reason.CRASH_LOOPING: ReasonDetail(
        "The server's container ends again and again.",
        "Read the end of its log: `kubectl logs --previous` of the pod in status.lastFailure.",
    ),
    Reason.OOM_KILLED: ReasonDetail(
        "The kernel ended the server because it went over its memory limit.",
        "Raise spec.resources.limits.memory, or serve a smaller model.",
    ),
    Reason.CUDA_OUT_OF_MEMORY: ReasonDetail(
        "The model, or its requests, do not fit the accelerator's memory.",
        "Lower spec.runtime.engine.maxContext or maxConcurrency, use a smaller dtype, or a larger accelerator.",
    ),
    Reason.ACCELERATOR_MISSING: ReasonDetail(
        "The pod was given an accelerator and the server finds no device.",
        "Check the node's driver and container toolkit and spec.scheduling.runtimeClassName; only a RuntimeProfile "
        "with simulated: true may run on the CPU instead.",
    ),
    Reason.ENGINE_ERROR: ReasonDetail(
        "The inference engine failed while loading or running the model.",
        "Read the server's log: `kubectl logs --previous` of the pod in status.lastFailure.",
    ),
    Reason.PROBE_TIMEOUT: ReasonDetail(
        "The server did not become ready, or stopped answering, within its probe's budget.",
        "Raise spec.loader.startupBudgetSeconds if the model is large, or give the pod more CPU.",
    ),
    Reason.BAD_SETTINGS: ReasonDetail(
        "The runtime refused its settings.",
        "Correct the setting that the message names in spec.runtime; the operator and the runtime image should be of "
        "one version.",
    ),
}

_ROLLOUT: Final[dict[Reason, ReasonDetail]] = {
    Reason.GOLDEN_REQUEST_FAILED: ReasonDetail(
        "The new revision does not answer the request of spec.rollout.verification as expected, and gets no requests.",
        "Compare the answer in the message with spec.rollout.verification.expect: is it the right model and dtype?",
    ),
    Reason.ROLLOUT_BLOCKED: ReasonDetail(
        "A new revision cannot start for want of room, and the old one is kept.",
        "Free what the message says is missing, or set spec.rollout.strategy to Recreate.",
    ),
    Reason.DEADLINE_EXCEEDED: ReasonDetail(
        "The new revision did not become ready within spec.rollout.progressDeadlineSeconds.",
        "See the other conditions for the cause; raise the deadline if the model only loads slowly.",
    ),
    Reason.ROLLED_BACK: ReasonDetail(
        "The revision that the spec asks for failed, and the last one that served runs in its place.",
        "Correct the spec: other pods are tried at once. To try the same again, turn spec.rollout.autoRollback off and "
        "on.",
    ),
    Reason.NEW_TEMPLATE_AVAILABLE: ReasonDetail(
        "The RuntimeProfile or the operator has a newer pod template, and the pods that serve are not replaced for it.",
        "Take it with the command in the message, or set spec.updates.policy of the RuntimeProfile to Window, Wave or "
        "Immediate.",
    ),
}

_NETWORK: Final[dict[Reason, ReasonDetail]] = {
    Reason.SERVICE_MISSING: ReasonDetail("The Service does not exist yet."),
    Reason.ROUTE_NOT_ACCEPTED: ReasonDetail(
        "The gateway has not accepted the HTTPRoute.", "Check spec.network.httpRoute.parentRefs."
    ),
    Reason.CRD_MISSING: ReasonDetail(
        "The cluster lacks a CRD that a block of the spec needs; everything else works.",
        "Install the CRD that the message names, or remove the block.",
    ),
    Reason.METRICS_UNAVAILABLE: ReasonDetail(
        "The autoscaler cannot read its metrics.",
        "For CPU and Memory, install metrics-server and set requests for them in spec.resources; for other metrics, "
        "enable metricsAdapter in the operator's chart. With KEDA, look at the ScaledObject and at the operator's "
        "prometheusUrl.",
    ),
    Reason.CONFLICT: ReasonDetail(
        "Another autoscaler steers the same Deployment.", "Remove one of the two autoscalers."
    ),
}

_SYNC: Final[dict[Reason, ReasonDetail]] = {
    Reason.DRIFT_DETECTED: ReasonDetail(
        "A child differs from what the spec asks for: it is being deleted, or somebody changed it and driftPolicy is "
        "Report.",
        "The message names the child, the fields and who owns them now. Undo the change, or set spec.driftPolicy to "
        "Correct and the operator does it.",
    ),
    Reason.APPLY_FAILED: ReasonDetail(
        "The API server refused a child.",
        "The message is the server's own and names the field; correct the part of the spec that it comes from.",
    ),
    Reason.PENDING: ReasonDetail("Not known yet for this generation, or waiting for another condition."),
}

_GOOD: Final[dict[Reason, ReasonDetail]] = {
    Reason.READY: ReasonDetail("The model answers."),
    Reason.ACCEPTED: ReasonDetail("The spec can be carried out."),
    Reason.AVAILABLE: ReasonDetail("The model's files are in the pods."),
    Reason.ASSIGNED: ReasonDetail("Every pod has a node."),
    Reason.SERVING: ReasonDetail("The server is ready."),
    Reason.VERIFIED: ReasonDetail("Every ready replica has answered the golden request as expected."),
    Reason.ROLLING_OUT: ReasonDetail("A revision is being rolled out."),
    Reason.ROLLOUT_COMPLETE: ReasonDetail("Every replica runs the current revision."),
    Reason.CANARY_SERVING: ReasonDetail("The new revision serves a share of the requests beside the one before."),
    Reason.REACHABLE: ReasonDetail("The Service and the routes asked for exist."),
    Reason.SCALING_ACTIVE: ReasonDetail("The autoscaler works."),
    Reason.APPLIED: ReasonDetail("Every child is as the spec asks."),
    Reason.SCALED_TO_ZERO: ReasonDetail(
        "No replica is asked for.",
        "Set spec.replicas to 1 or more, for example with `kubectl scale`. With spec.autoscaling.idle the next request "
        "starts a pod, and so does scaling the Deployment to 1.",
    ),
    Reason.NO_ACTIVATOR: ReasonDetail(
        "No replica is asked for, because no request came, and none will start one, because no activator is installed.",
        "Scale the Deployment to 1, or have the owner of the cluster set activator.enabled: true in the operator's "
        "chart. Without it, remove spec.autoscaling.idle if the service has to answer at any time.",
    ),
    Reason.SUSPENDED: ReasonDetail(
        "spec.suspend is true, so no pod runs.", "Set spec.suspend to false to serve again."
    ),
    Reason.COMPLETED: ReasonDetail("A step ended well."),
}

DETAILS: Final[dict[Reason, ReasonDetail]] = {
    **_SPEC, **_MODEL, **_SCHEDULING, **_RUNTIME, **_ROLLOUT, **_NETWORK, **_SYNC, **_GOOD,
}  # fmt: skip
"""Description and default hint of every reason."""

GROUPS: Final[tuple[tuple[tuple[ConditionType, ...], dict[Reason, ReasonDetail]], ...]] = (
    ((ConditionType.SPEC_VALID,), _SPEC),
    ((ConditionType.MODEL_AVAILABLE,), _MODEL),
    ((ConditionType.SCHEDULED,), _SCHEDULING),
    ((ConditionType.RUNTIME_READY,), _RUNTIME),
    ((ConditionType.VERIFIED, ConditionType.PROGRESSING), _ROLLOUT),
    ((ConditionType.NETWORK_READY, ConditionType.AUTOSCALER_READY), _NETWORK),
    ((ConditionType.IN_SYNC,), _SYNC),
)
"""The reasons of conditions that are not True, by the conditions that have them, in the order in which Ready looks."""

_HINTS: Final[dict[str, str]] = {reason.value: detail.hint for reason, detail in DETAILS.items()}

READY_ORDER: Final[tuple[ConditionType, ...]] = (
    ConditionType.SPEC_VALID,
    ConditionType.MODEL_AVAILABLE,
    ConditionType.SCHEDULED,
    ConditionType.VERIFIED,
    ConditionType.RUNTIME_READY,
    ConditionType.PROGRESSING,
    ConditionType.NETWORK_READY,
    ConditionType.AUTOSCALER_READY,
    ConditionType.IN_SYNC,
)
"""The order in which Ready looks for the first failing condition."""


def default_hint(reason: str) -> str:
    """The default hint of a reason; empty for good states and for reasons that this version does not know."""
    return _HINTS.get(reason, "")
