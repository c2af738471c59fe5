//! What can be asked of the encoder inside a V4L2 camera.

use std::path::Path;

use anyhow::Context as _;
use v4l::{
    Control, Device,
    control::{Description, Flags, Value},
};

/// Of `linux/v4l2-controls.h`.
const B_FRAMES: u32 = 0x0099_09ca;
const BITRATE: u32 = 0x0099_09cf;
const REPEAT_PARAMETER_SETS: u32 = 0x0099_09e2;
const FORCE_KEY_FRAME: u32 = 0x0099_09e5;

/// The controls of one camera's encoder.
pub(super) struct CodecControls {
    device: Device,
    described: Vec<Description>,
}

impl CodecControls {
    /// Reads which controls there are. A camera without any is as good.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let device = Device::with_path(path)
            .with_context(|| format!("cannot ask the encoder of {}", path.display()))?;
        let described = device.query_controls().unwrap_or_default();
        Ok(Self { device, described })
    }

    /// Sets what a stream needs to be used as it is, as far as the driver lets us.
    pub(super) fn prepare(&self, bitrate_kbps: u32) {
        self.set(B_FRAMES, 0);
        self.set(REPEAT_PARAMETER_SETS, 1);
        self.set_bitrate(bitrate_kbps);
    }

    pub(super) fn set_bitrate(&self, kbps: u32) {
        self.set(BITRATE, i64::from(kbps) * 1_000);
    }

    /// False where the driver has no control for it.
    pub(super) fn force_key_frame(&self) -> bool {
        self.find(FORCE_KEY_FRAME).is_some_and(|control| {
            let button = Control { id: control.id, value: Value::None };
            self.device.set_control(button).is_ok()
        })
    }

    fn find(&self, id: u32) -> Option<&Description> {
        let closed = Flags::DISABLED | Flags::READ_ONLY;
        self.described.iter().find(|it| it.id == id && !it.flags.intersects(closed))
    }

    fn set(&self, id: u32, value: i64) {
        let Some(control) = self.find(id) else { return };
        let value = Value::Integer(value.clamp(control.minimum, control.maximum));
        if let Err(error) = self.device.set_control(Control { id, value }) {
            tracing::debug!(%error, control = control.name, "the camera's encoder keeps its setting");
        }
    }
}
