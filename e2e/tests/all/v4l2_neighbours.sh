# Two agents for one camera: the second says who has it, waits, and takes it over; a camera that comes
# back under another number is found again. Prints what the test looks for.
set -e

within() {
    turns=$(($1 * 2))
    shift
    until "$@" >/dev/null; do
        [ $turns -gt 0 ] || return 1
        turns=$((turns - 1))
        sleep 0.5
    done
}
says() { [ "$(grep -c "$2" "$DIRECTORY/$1.log")" -ge "${3:-1}" ]; }
run() {
    "$AGENT" run --config "$DIRECTORY/$1.toml" --data-dir /run/$1 2>"$DIRECTORY/$1.log" &
}

bus=$("$AGENT" probe --config "$DIRECTORY/none.toml" | sed -n 's/^  plugged in at: //p')
echo "bus: $bus"
printf '[source]\ndevice = "%s"\nwidth = 320\nheight = 240\nfps = 5\n' "$bus" >"$DIRECTORY/porch.toml"
printf '[source]\ndevice = "/dev/video0"\nwidth = 320\nheight = 240\nfps = 5\n' >"$DIRECTORY/yard.toml"

# Both at once: the kernel decides.
run porch
porch=$!
run yard
yard=$!
within 60 grep -l "the camera sees" "$DIRECTORY/porch.log" "$DIRECTORY/yard.log"
if says porch "the camera sees"; then
    first=porch second=yard holder=$porch waiting=$yard
else
    first=yard second=porch holder=$yard waiting=$porch
fi
within 60 says $second "nightjar-agent (process $holder, --data-dir /run/$first) has it" && echo "the log names it"
"$AGENT" doctor --config "$DIRECTORY/$second.toml" --data-dir /run/$second >"$DIRECTORY/doctor.txt" || true
grep -q "BAD  camera: .*nightjar-agent (process $holder, --data-dir /run/$first) has it" "$DIRECTORY/doctor.txt" &&
    echo "doctor names it"
"$AGENT" doctor --config "$DIRECTORY/$first.toml" --data-dir /run/$first >"$DIRECTORY/doctor-first.txt" || true
grep -q "ok   camera: /dev/video0" "$DIRECTORY/doctor-first.txt" && echo "its own agent is no stranger"
"$AGENT" probe --config "$DIRECTORY/none.toml" | grep "captured from by nightjar-agent (process $holder"
says $second "the camera sees" && echo "both see"

kill -KILL $holder
within 30 says $second "the camera sees" && echo "it was taken over"
kill -TERM $waiting
wait $waiting

# What the file sets of the picture is set, and what the camera cannot do is named.
printf '[source.image]\nbrightness = 200\ngain = 9999\nexposure_us = 1000\n' >>"$DIRECTORY/porch.toml"

# Whoever still has the node open keeps its number taken: the camera comes back under another.
run porch
porch=$!
# The old log is gone; this one is of the new run.
within 60 says porch "the camera sees"
v4l2-ctl --device /dev/video0 --get-ctrl brightness
says porch "image.gain = 9999: this camera takes 0 to 255" && echo "the range is named"
says porch "image.exposure_us: this camera has no such control" && echo "what it lacks is named"
exec 3</dev/video0
echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
within 30 says porch "the camera does not see"
echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
within 10 [ -e /dev/video1 ] && [ ! -e /dev/video0 ] && echo "it has another number"
within 40 says porch "device=/dev/video1" && echo "it was found again"
kill -TERM $porch
wait $porch
