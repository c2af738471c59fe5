// What an event was, in words: pure.

const REASONS = {
  still: "Nothing moved any more",
  disarmed: "The camera was disarmed",
  schedule: "Its hours were over",
  privacy: "Privacy mode was switched on",
  stopped: "The camera's agent was stopped",
  no_picture: "The camera gave no picture",
  interrupted: "The camera lost its power",
  time_limit: "The longest recording was reached",
};

/** Why an event ended, as a person would say it; null while it goes on. */
export function endWords({ kind, state, reason }) {
  if (state !== "ended" || !reason) return null;
  // By the camera's agent or by whoever had begun it.
  if (kind === "manual" && reason === "stopped") return "The recording was stopped";
  return REASONS[reason] ?? reason;
}

/** "Drive, lawn"; null when it touched no zone. */
export function zoneWords({ zones }) {
  return zones?.length > 0 ? zones.join(", ") : null;
}

/** "3 % of the picture"; null when nobody measured. */
export function areaWords({ peak_area }) {
  if (peak_area === undefined || peak_area === null) return null;
  const percent = peak_area * 100;
  return `${percent < 1 ? percent.toFixed(1) : Math.round(percent)} % of the picture`;
}
