// The relay's doors to what people are told.

import { call, get, id, query } from "../api.js";

export const doors = {
  list: (page, signal) => get(`/notifications${query(page)}`, signal),
  unread: (signal) => get("/notifications/unread", signal),
  read: (notificationId) => call("POST", `/notifications/${id(notificationId)}/read`),
  readAll: () => call("POST", "/notifications/read", {}),
  settings: (signal) => get("/notifications/settings", signal),
  changeSettings: (rules) => call("PUT", "/notifications/settings", { rules }),
  mute: (cameraId, minutes) => call("POST", "/notifications/mutes", { camera_id: cameraId, minutes }),
  unmute: (cameraId) => call("DELETE", `/notifications/mutes/${id(cameraId)}`),
  test: () => call("POST", "/notifications/test"),

  push: (signal) => get("/notifications/push", signal),
  subscribe: (subscription) => call("POST", "/notifications/push", subscription),
  unsubscribe: (subscriptionId) => call("DELETE", `/notifications/push/${id(subscriptionId)}`),

  webhooks: (siteId, signal) => get(`/sites/${id(siteId)}/webhooks`, signal),
  addWebhook: (siteId, webhook) => call("POST", `/sites/${id(siteId)}/webhooks`, webhook),
  changeWebhook: (webhookId, change) => call("PATCH", `/webhooks/${id(webhookId)}`, change),
  removeWebhook: (webhookId) => call("DELETE", `/webhooks/${id(webhookId)}`),
  replaceSecret: (webhookId) => call("POST", `/webhooks/${id(webhookId)}/secret`),
  tryWebhook: (webhookId) => call("POST", `/webhooks/${id(webhookId)}/test`),
  attempts: (webhookId, signal) => get(`/webhooks/${id(webhookId)}/attempts`, signal),
};
