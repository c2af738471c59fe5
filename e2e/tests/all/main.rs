//! The programs together, as people, cameras and networks meet them. One binary: each would link
//! a browser client of its own.

mod app;
mod app_axe;
mod app_days;
mod app_leaving;
mod app_refusals;
mod app_roles;
mod app_settings;
mod app_shapes;
mod app_traffic;
mod authenticity;
mod bad_input;
mod bad_networks;
mod changed_networks;
mod demo;
mod disk;
mod encoding_cameras;
mod failing_cameras;
mod growing_clips;
mod guest_camera;
mod hls;
mod https_alone;
<<<<<<< HEAD
mod installed;
=======
mod infrared_lines;
>>>>>>> 68247ed (Tests in the guest: cameras that encode or become another, television of half pictures, a GPIO chip, libcamera's agent with and without a sensor)
mod ip_cameras;
mod ipv6;
mod lens;
mod libcamera;
mod main_job;
mod networks;
mod offers;
mod packages;
mod players;
mod reconnect;
mod recovery;
mod sfu;
mod shared_clips;
mod tenancy;
mod updated;
mod updates;
mod v4l2;
mod v4l2_neighbours;
mod web_modules;
mod wifi;
