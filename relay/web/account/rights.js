// What a role may do, in words: the relay says which rights it has.

import { Right, Role } from "../words.js";

const ROLES = { [Role.owner]: "Owner", [Role.manager]: "Manager", [Role.viewer]: "Viewer", [Role.installer]: "Installer" };

const RIGHTS = {
  [Right.seeCameras]: "see that cameras work",
  [Right.seePictures]: "watch them, live and recorded",
  [Right.control]: "record, arm and set them up",
  [Right.manage]: "rename them, share and delete clips",
  [Right.pair]: "add and remove cameras",
  [Right.invite]: "let viewers in and out",
  [Right.own]: "decide about the site and all roles",
  [Right.audit]: "read who did what",
  [Right.report]: "tell what happened",
};

export function roleName(role) {
  return ROLES[role] ?? role;
}

/** "May see that cameras work, add and remove cameras." */
export function rightsSentence(may) {
  const known = may.map((right) => RIGHTS[right]).filter(Boolean);
  return known.length === 0 ? "" : `May ${known.join(", ")}.`;
}
