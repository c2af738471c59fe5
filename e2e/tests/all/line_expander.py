"""line_expander.py STATE

A chip with four lines at USB, MCP2221 of Microchip: the kernel's own driver for it, and no chip. It answers
the driver as that does, by a HID device in user space, and writes into the file STATE what the lines have:
1 or 0 for each that is an output, - for each that is not.
"""

import os
import struct
import sys

CREATE2, INPUT2, OUTPUT = 11, 12, 6
BUS_USB = 3
MICROCHIP, MCP2221 = 0x04D8, 0x00DD
# Reports of 64 bytes in both directions, of a kind that the vendor defines.
DESCRIPTOR = bytes.fromhex("0600ff0901a1010901150026ff00750895408102090115 0026ff00750895409102c0")
REPORT = 64
SET_LINES, GET_LINES = 0x50, 0x51
LINES = 4
OUT, IN = 0, 1


class Expander:
    def __init__(self, state):
        self.state = state
        self.values = [1, 0, 0, 0]
        self.directions = [IN] * LINES
        self.tell()

    def answer(self, asked):
        answer = bytearray(REPORT)
        answer[0] = asked[0]
        if asked[0] == SET_LINES:
            answer[2 : len(asked)] = asked[2:]
            for line in range(LINES):
                # For value and direction each: whether it is to be changed, and to what.
                changes_value, value, changes_direction, direction = asked[2 + 4 * line : 6 + 4 * line]
                if changes_value:
                    self.values[line] = value
                if changes_direction:
                    self.directions[line] = direction
            self.tell()
        elif asked[0] == GET_LINES:
            for line in range(LINES):
                answer[2 + 2 * line : 4 + 2 * line] = self.values[line], self.directions[line]
        return bytes(answer)

    def tell(self):
        shown = [str(value) if direction == OUT else "-" for value, direction in zip(self.values, self.directions)]
        with open(self.state + ".new", "w") as file:
            file.write(" ".join(shown) + "\n")
        os.rename(self.state + ".new", self.state)


expander = Expander(sys.argv[1])
device = os.open("/dev/uhid", os.O_RDWR)
names = struct.pack("128s64s64s", b"Microchip MCP2221", b"test", b"")
numbers = struct.pack("<HHIIII", len(DESCRIPTOR), BUS_USB, MICROCHIP, MCP2221, 0, 0)
os.write(device, struct.pack("<I", CREATE2) + names + numbers + DESCRIPTOR.ljust(4096, b"\0"))
while True:
    event = os.read(device, 8192)
    if struct.unpack_from("<I", event)[0] == OUTPUT:
        (size,) = struct.unpack_from("<H", event, 4 + 4096)
        answer = expander.answer(event[4 : 4 + size])
        os.write(device, struct.pack("<IH", INPUT2, len(answer)) + answer.ljust(4096, b"\0"))
