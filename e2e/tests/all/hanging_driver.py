"""A driver whose device /dev/video0 never opens: the kernel asks, and nobody answers.

It speaks as much of CUSE, character devices in user space, as to be taken for a driver.
"""

import os
import struct

CUSE_INIT = 4096
HEADER = struct.Struct("IIQQIIIHH")  # fuse_in_header: length, opcode, unique, …

device = os.open("/dev/cuse", os.O_RDWR)
request = os.read(device, 1 << 20)
_, opcode, unique, *_ = HEADER.unpack_from(request)
assert opcode == CUSE_INIT, opcode
major, minor, _, flags = struct.unpack_from("IIII", request, HEADER.size)
# cuse_init_out: version, unused, flags, sizes of reads and writes, number of the device, spare.
answer = struct.pack("IIIIIIII10I", 7, min(minor, 31), 0, flags, 65536, 65536, 0, 0, *[0] * 10)
answer = answer + b"DEVNAME=video0\0"
os.write(device, struct.pack("IiQ", 16 + len(answer), 0, unique) + answer)
while True:
    os.read(device, 1 << 20)
