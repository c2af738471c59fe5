// The relay's doors to who belongs to a site.

import { call, get, id } from "../api.js";

export const doors = {
  site: (siteId, signal) => get(`/sites/${id(siteId)}`, signal),
  members: (siteId, signal) => get(`/sites/${id(siteId)}/members`, signal),
  changeMember: (siteId, accountId, change) => call("PATCH", `/sites/${id(siteId)}/members/${id(accountId)}`, change),
  removeMember: (siteId, accountId) => call("DELETE", `/sites/${id(siteId)}/members/${id(accountId)}`),
  leaveSite: (siteId) => call("DELETE", `/sites/${id(siteId)}/members/me`),
  offerSite: (siteId, accountId) => call("POST", `/sites/${id(siteId)}/ownership`, { account_id: accountId }),
  withdrawSite: (siteId) => call("DELETE", `/sites/${id(siteId)}/ownership`),
  acceptSite: (siteId) => call("POST", `/sites/${id(siteId)}/ownership/accept`),
  invitations: (siteId, signal) => get(`/sites/${id(siteId)}/invitations`, signal),
  invite: (siteId, invitation) => call("POST", `/sites/${id(siteId)}/invitations`, invitation),
  revokeInvitation: (invitationId) => call("DELETE", `/invitations/${id(invitationId)}`),
  openInvitation: (token, signal) => call("POST", "/invitations/open", { token }, signal),
  acceptInvitation: (token) => call("POST", "/invitations/accept", { token }),
  registerInvited: (account) => call("POST", "/invitations/register", account),
};
