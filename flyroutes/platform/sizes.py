"""What the names of Machine sizes mean (fly-go machine_types.go: MachinePresets), but for those with GPUs."""

from typing import Any

_KINDS = {
    "shared": ("shared-cpu", 256, (1, 2, 4, 6, 8)),
    "performance": ("performance", 2048, (1, 2, 4, 6, 8, 10, 12, 14, 16)),
}
SIZES: dict[str, dict[str, Any]] = {
    f"{name}-{count}x": {"cpu_kind": kind, "cpus": count, "memory_mb": count * megabytes}
    for kind, (name, megabytes, counts) in _KINDS.items()
    for count in counts
}
"""Size to the `guest` of a Machine's config."""
DEFAULT_SIZE = "shared-cpu-1x"
