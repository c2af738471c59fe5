// What people are told of, in the order in which they care: the word, the sentence, and of what it is.

export const KINDS = [
  ["motion", "Something moves", "camera"],
  ["doorbell", "Somebody rings", "camera"],
  ["report", "A program tells of something else", "camera"],
  ["tamper", "A camera is covered, turned or blinded", "camera"],
  ["camera_offline", "A camera is not heard from", "camera"],
  ["camera_online", "A camera is back", "camera"],
  ["disk", "A camera's disk is nearly full, or fails", "camera"],
  ["watched", "Somebody watches a camera live", "camera"],
  ["camera_paired", "A camera was added", "site"],
  ["camera_removed", "A camera was removed", "site"],
  ["quota", "Room for footage is nearly used up", "site"],
  ["retention", "Footage will soon be deleted", "site"],
  ["view_asked", "Who runs the relay asks to see a site", "site"],
  ["webhook_off", "A webhook of mine is turned off by the relay", "account"],
  ["new_sign_in", "Somebody signs in to my account from somewhere new", "account"],
];

export const ofCamera = ([, , of]) => of === "camera";
export const ofSite = ([, , of]) => of !== "account";
