import { notice } from "../dom.js";

/** In place of pictures that a role does not get. */
export function noPictures() {
  return notice("info", "Your role sets cameras up and sees that they work. What they see is for the people who live or work there.");
}
