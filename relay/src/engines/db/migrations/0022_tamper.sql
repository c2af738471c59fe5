-- What was done to the camera, of events of the kind `tamper`.
alter table events add column tamper text;
