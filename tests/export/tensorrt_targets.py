from __future__ import annotations

from edgeseg.runtime.passport.gpu import Gpu

TENSORRT_VERSIONS = ["tensorrt 10.3.0", "tensorrt 10.13.0.35", "tensorrt 11.4.0.106"]
RTX = "tensorrt_rtx 1.7.1.116"
ORIN = Gpu("Orin", "8.7", "540.4.0", jetson=True)
A2000 = Gpu("NVIDIA RTX A2000", "8.6", "580.65.06")  # what `install` puts here
COMPATIBLE = [
    ("IBuilderConfig.set_flag", "BuilderFlag.VERSION_COMPATIBLE"),
    ("IBuilderConfig.hardware_compatibility_level =", "HardwareCompatibilityLevel.AMPERE_PLUS"),
]
