"""line_holder.py CHIP NUMBER NAME: has a line of a GPIO chip until it ends."""

import fcntl
import os
import signal
import struct
import sys

GET_LINE_HANDLE = 0xC16CB403
INPUT = 1

chip, number, name = sys.argv[1:]
# gpiohandle_request: lines, flags, default values, who, how many, descriptor.
asked = bytearray(struct.pack("<64II64s32sIi", int(number), *[0] * 63, INPUT, b"", name.encode(), 1, 0))
fcntl.ioctl(os.open(chip, os.O_RDWR), GET_LINE_HANDLE, asked)
print("held", flush=True)
signal.pause()
