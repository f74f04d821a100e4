"""Order between a lane's stream and the streams of others, without the host waiting."""

from __future__ import annotations

import contextlib
from typing import Any

from edgeseg.errors import BadInputError
from edgeseg.optional import require
from edgeseg.runtime.cuda.cuda_errors import checked
from edgeseg.runtime.cuda.device_arrays import DeviceArray


class StreamOrder:
    """Makes one stream wait for arrays that are written on others.

    Args:
        stack: Gives its event back.
        stream: A pycuda stream.
    """

    def __init__(self, stack: contextlib.ExitStack, stream: Any) -> None:
        self._driver = driver = require("cuda.bindings.driver")
        self._stream = driver.CUstream(stream.handle)
        flags = driver.CUevent_flags.CU_EVENT_DISABLE_TIMING
        self._event = checked(driver.cuEventCreate(flags), "make an event")
        stack.callback(driver.cuEventDestroy, self._event)

    def after(self, array: DeviceArray, ordinal: int) -> None:
        """Let the stream wait until an array is written.

        Args:
            array: Somebody else's.
            ordinal: The GPU that the stream is of.

        Raises:
            BadInputError: It is not on this GPU.
            CudaError: Its stream is none.
        """
        self._check_device(array, ordinal)
        if array.ready_on is None:
            return
        driver, doing = self._driver, "wait for a device frame's stream"
        checked(driver.cuEventRecord(self._event, driver.CUstream(array.ready_on)), doing)
        checked(driver.cuStreamWaitEvent(self._stream, self._event, 0), doing)

    def _check_device(self, array: DeviceArray, ordinal: int) -> None:
        attribute = self._driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        status, found = self._driver.cuPointerGetAttribute(attribute, array.address)
        if int(status) == 0 and int(found) == ordinal and array.ordinal in (None, ordinal):
            return
        where = f"address {array.address:#x}, on no GPU that CUDA knows" if int(status) else f"GPU {int(found)}"
        what = "this frame is not on the GPU that the engine is on"
        raise BadInputError(what, found=where, expected=f"GPU {ordinal}")
