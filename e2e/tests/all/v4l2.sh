# Probes, changes the camera's controls, then moves the driver's test picture until a clip has begun,
# and waits until the clip is complete. An emulated processor takes its time: each wait has a
# condition and a deadline.
set -e
log="$DIRECTORY/agent.log"

# within SECONDS COMMAND...: waits until the command succeeds.
within() {
    turns=$(($1 * 2))
    shift
    until "$@" >/dev/null; do
        [ $turns -gt 0 ] || return 1
        turns=$((turns - 1))
        sleep 0.5
    done
}
says() { [ "$(grep -c "$1" "$log")" -ge "$2" ]; }
clips() { ls /run/agent/recordings 2>/dev/null | grep "$1"; }
no_clip_is_open() { ! clips mp4.part; }
control() { v4l2-ctl --device /dev/video0 --set-ctrl "$1"; }
still() { control horizontal_movement=3; }
moving() { control horizontal_movement=4; }

"$AGENT" probe
RUST_LOG=info,nightjar_agent::capture=debug \
    "$AGENT" run --config "$DIRECTORY/agent.toml" --data-dir /run/agent 2>"$log" &
agent=$!
# The driver's pretended automatic gain changes a value all the time, and no picture.
control gain_automatic=0
within 60 says "the camera sees" 1 || echo "the camera sees nothing"
within 60 says "live viewing is ready" 1 || echo "live viewing is not ready"
clips mp4 && echo "an event before anything happened"

# The camera makes its own picture brighter and darker, at once and in steps.
changes=0
for change in brightness=200 brightness=70 contrast=200 contrast=90 brightness=100 brightness=128; do
    control $change
    changes=$((changes + 1))
    within 20 says "the camera changes its picture" $changes || echo "$change was not noticed"
done
# As long as motion takes to become an event, and some more.
sleep 3
clips mp4 && echo "an event of a control"

# It has to stand still for a while for a movement to be one.
tries=0
while ! clips mp4 && [ $tries -lt 12 ]; do
    sleep 6
    moving
    within 4 clips mp4 || true
    still
    tries=$((tries + 1))
done
within 60 no_clip_is_open || echo "the clip does not end"
kill -TERM $agent
wait $agent
cp -r /run/agent/recordings "$DIRECTORY"
