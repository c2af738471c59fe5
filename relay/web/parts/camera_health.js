// What a camera last said of itself, in words.

import { element, notice } from "../dom.js";
import { bytes, duration } from "../format.js";
import { Verdict } from "../words.js";

export class CameraHealth {
  problems = element("div", { class: "problems" });
  facts = element("dl", { class: "facts" });

  show(health) {
    const { capture, errors, notes = [], findings = [], temperature_celsius: celsius } = health;
    this.problems.replaceChildren(
      ...errors.map((error) => notice("bad", error)),
      ...findings.map(finding),
      ...notes.map((note) => notice("info", note)),
    );
    const rows = {
      Picture: capture.running ? `${capture.width} × ${capture.height}, ${Math.round(capture.fps)} a second` : "none",
      Source: capture.source,
      Encoder: capture.encoder,
      "Free on the camera": health.disk_total_bytes ? `${bytes(health.disk_free_bytes)} of ${bytes(health.disk_total_bytes)}` : bytes(health.disk_free_bytes),
      Recordings: recordingsWords(health),
      "Waiting to upload": queueWords(health),
      ...(health.write_errors ? { "Failed writes": String(health.write_errors) } : {}),
      ...(health.armed && health.scheduled_off ? { Hours: "outside its hours: motion opens no event" } : {}),
      ...(Number.isFinite(celsius) ? { Temperature: `${Math.round(celsius)} °C` } : {}),
      Viewers: String(health.viewers),
      Agent: health.agent_version,
    };
    this.facts.replaceChildren(
      ...Object.entries(rows).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
    );
  }
}

function finding({ verdict, name, found, next_step }) {
  const step = next_step ? [element("p", {}, `Next: ${next_step}`)] : [];
  return notice(verdict === Verdict.bad ? "bad" : "info", `${name}: ${found}`, ...step);
}

function recordingsWords({ recordings_bytes, retention_days, retention_horizon_days }) {
  const days = (count) => (count < 1 ? "less than a day" : `${Math.floor(count)} days`);
  const size = recordings_bytes ? `${bytes(recordings_bytes)}, ` : "";
  const ahead = retention_horizon_days ? `; room for ${days(retention_horizon_days)}` : "";
  return `${size}${days(retention_days)} back${ahead}`;
}

function queueWords({ queue_length, queue_age_ms }) {
  return queue_age_ms ? `${queue_length}, for ${duration(queue_age_ms)}` : String(queue_length);
}

