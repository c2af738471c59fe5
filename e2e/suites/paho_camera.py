"""A camera by paho-mqtt: what it may do at the relay's broker, and what it may not."""

import json
import queue
import sys
import threading
import urllib.request

import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.packettypes import PacketTypes

subject = json.load(sys.stdin)
camera, other = subject["camera"], subject["other"]
own = f"nightjar/v1/{camera}"
PATIENCE_S = 20


def client(client_id=camera, user=camera, token=subject["token"]):
    events = queue.Queue()
    made = mqtt.Client(client_id=client_id, protocol=mqtt.MQTTv5)
    made.username_pw_set(user, token)
    made.tls_set(ca_certs=subject["ca"])
    made.on_connect = lambda _c, _u, _f, code, _p=None: events.put(("connected", code.value))
    made.on_disconnect = lambda _c, _u, code, _p=None: events.put(("disconnected", code))
    made.on_subscribe = lambda _c, _u, _m, codes, _p=None: events.put(("subscribed", [code.value for code in codes]))
    made.on_publish = lambda _c, _u, _m: events.put(("published", None))
    made.on_message = lambda _c, _u, message: events.put(("message", message))
    return made, events


def expect(events, wanted):
    while True:
        kind, value = events.get(timeout=PATIENCE_S)
        if kind == wanted:
            return value


def connect(**what):
    made, events = client(**what)
    made.connect("localhost", subject["port"], keepalive=30)
    made.loop_start()
    return made, events


def refused(**what):
    made, events = connect(**what)
    kind, value = events.get(timeout=PATIENCE_S)
    made.loop_stop()
    assert kind == "disconnected" or value >= 128, f"{what} was let in: {kind} {value}"


refused(token="wrong")
refused(user=other)
refused(client_id=other)

made, events = connect()
assert expect(events, "connected") == 0
made.subscribe(f"{own}/down/#", qos=1)
assert expect(events, "subscribed")[0] < 128, "its own topics are refused"
for foreign in ("#", f"nightjar/v1/{other}/down/#", "nightjar/v1/+/down/#", "$SYS/#", "$share/x/nightjar/v1/+/up/+"):
    made.subscribe(foreign, qos=1)
    assert expect(events, "subscribed")[0] >= 128, f"{foreign} is not refused"

made.publish(f"{own}/up/health", json.dumps(subject["health"]), qos=1)
expect(events, "published")


def ask():
    body = json.dumps({"kind": "arm"}).encode()
    headers = {"authorization": f"Bearer {subject['person']}", "content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(subject["url"], body, headers), timeout=PATIENCE_S)


threading.Thread(target=ask).start()
message = expect(events, "message")
command = json.loads(message.payload)
assert message.topic == f"{own}/down/command" and command["kind"] == "arm", (message.topic, command)
assert message.properties.MessageExpiryInterval <= 60, "a command that never expires"
answer = {"protocol": 1, "command_id": command["command_id"], "outcome": "acked"}
properties = Properties(PacketTypes.PUBLISH)
properties.UserProperty = ("of", "no meaning")
made.publish(f"{own}/up/ack", json.dumps(answer), qos=1, properties=properties)
expect(events, "published")

# What it says as somebody else reaches nobody, and the connection may end with it.
made.publish(f"nightjar/v1/{other}/up/health", json.dumps(subject["health"]), qos=1)
made.disconnect()
made.loop_stop()
