"""writing_camera.py DEVICE FOURCC WIDTH HEIGHT FPS FILE

A camera that encodes by itself: writes the pictures of FILE, over and over, into a device of v4l2loopback.
FILE holds H.264 with delimiters (fourcc H264) or JPEGs one after the other (MJPG).
"""

import fcntl
import os
import struct
import sys
import time

VIDIOC_S_FMT = 0xC0D05605
OUTPUT = 2
PROGRESSIVE = 1
SRGB = 8
BEGINNINGS = {"H264": b"\0\0\0\1\x09", "MJPG": b"\xff\xd8\xff"}


def pictures(content, beginning):
    """The pieces of `content` that begin so."""
    at = content.find(beginning)
    while at >= 0:
        end = content.find(beginning, at + 1)
        yield content[at : end if end >= 0 else len(content)]
        at = end


device, fourcc, width, height, fps, file = sys.argv[1:]
with open(file, "rb") as source:
    frames = list(pictures(source.read(), BEGINNINGS[fourcc]))
assert len(frames) > 1, len(frames)


def open_in_this_format():
    """The device; not yet while somebody still reads what the writer before wrote."""
    out = os.open(device, os.O_RDWR)
    # v4l2_format: type, then v4l2_pix_format: size, format, field, bytes in a line, bytes at most, colours.
    wanted = (int(width), int(height), int.from_bytes(fourcc.encode(), "little"))
    asked = bytearray(208)
    struct.pack_into("<I", asked, 0, OUTPUT)
    struct.pack_into("<7I", asked, 8, *wanted, PROGRESSIVE, 0, max(map(len, frames)), SRGB)
    try:
        fcntl.ioctl(out, VIDIOC_S_FMT, asked)
        os.write(out, frames[0])
        if struct.unpack_from("<3I", asked, 8) == wanted:
            return out
        print("it stays with", struct.unpack_from("<3I", asked, 8), flush=True)
    except OSError as error:
        print(error, flush=True)
    os.close(out)
    return None


while not (out := open_in_this_format()):
    time.sleep(0.2)
print("writing", flush=True)
due, number = time.monotonic(), 0
while True:
    os.write(out, frames[number % len(frames)])
    number += 1
    due += 1 / float(fps)
    time.sleep(max(0, due - time.monotonic()))
