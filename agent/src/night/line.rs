//! A line of a GPIO chip, by the kernel's character device.

use std::path::PathBuf;

use gpiocdev::{
    Request,
    chip::Chip,
    line::{Info, Offset, Value},
};

use crate::config::{LineName, SwitchConfig};

/// What the kernel shows as the line's user.
const CONSUMER: &str = "nightjar-agent";
const RIGHTS: &str = "see that the agent's user is in the group `gpio`";

/// Why a line cannot be switched, and what helps.
#[derive(Debug, thiserror::Error)]
#[error("{found}: {step}")]
pub struct LineProblem {
    pub found: String,
    pub step: String,
}

/// A line that is held, and keeps its value while it is.
pub(super) struct Line {
    request: Request,
    offset: Offset,
}

impl Line {
    /// Takes the line, with this value from the beginning. The error says what is wrong and what helps.
    pub(super) fn take(switch: &SwitchConfig, active: bool) -> Result<Self, LineProblem> {
        let (chip, info) = find(switch)?;
        let name = name(switch);
        let mut builder = Request::builder();
        builder.on_chip(&chip).with_consumer(CONSUMER).with_line(info.offset);
        if switch.active_low {
            builder.as_active_low();
        }
        let requested = builder.as_output(value(active)).request();
        let request = requested.map_err(|error| match user(&info) {
            Some(user) => taken(&name, user),
            None => LineProblem {
                found: format!("{name} of {} cannot be used ({error})", chip.display()),
                step: RIGHTS.to_owned(),
            },
        })?;
        Ok(Self { request, offset: info.offset })
    }

    pub(super) fn set(&self, active: bool) -> Result<(), LineProblem> {
        let chip = self.request.chip_path();
        self.request.set_value(self.offset, value(active)).map_err(|error| LineProblem {
            found: format!("line {} of {} is gone ({error})", self.offset, chip.display()),
            step: "it is looked for, and switched when it is back".to_owned(),
        })
    }
}

/// Says where a line is, or what is wrong with it; takes nothing.
pub(super) fn look_up(switch: &SwitchConfig) -> Result<String, LineProblem> {
    let (chip, info) = find(switch)?;
    let name = name(switch);
    match user(&info) {
        Some(user) if user != CONSUMER => Err(taken(&name, user)),
        _ => Ok(format!("{name} on {}", chip.display())),
    }
}

fn find(switch: &SwitchConfig) -> Result<(PathBuf, Info), LineProblem> {
    let absent = |detail: String| LineProblem {
        found: format!("{}: {detail}", name(switch)),
        step: format!("`gpioinfo` of Debian's package gpiod lists lines; {RIGHTS}"),
    };
    let open = |path: &PathBuf| {
        Chip::from_path(path).map_err(|error| absent(format!("{}: {error}", path.display())))
    };
    match (&switch.line, &switch.chip) {
        (Some(LineName::Name(line)), None) => gpiocdev::find_named_line(line)
            .map(|found| (found.chip, found.info))
            .ok_or_else(|| absent("no chip has such a line".to_owned())),
        (Some(LineName::Name(line)), Some(path)) => open(path)?
            .find_line_info(line)
            .map(|info| (path.clone(), info))
            .ok_or_else(|| absent(format!("{} has no such line", path.display()))),
        (Some(LineName::Number(number)), Some(path)) => open(path)?
            .line_info(*number)
            .map(|info| (path.clone(), info))
            .map_err(|error| absent(format!("{} has no such line ({error})", path.display()))),
        (None, _) | (Some(LineName::Number(_)), None) => Err(absent("no line is named".to_owned())),
    }
}

fn name(switch: &SwitchConfig) -> String {
    match &switch.line {
        Some(LineName::Name(name)) => format!("line {name}"),
        Some(LineName::Number(number)) => format!("line {number}"),
        None => "a line".to_owned(),
    }
}

/// Who has a line; by name, where it gave one.
fn user(info: &Info) -> Option<&str> {
    info.used.then_some(if info.consumer.is_empty() { "the kernel" } else { &info.consumer })
}

fn taken(name: &str, user: &str) -> LineProblem {
    LineProblem {
        found: format!("{name} is used by {user}"),
        step: "end that, choose another line, or free it in the board's device tree; it is taken \
               when it is free"
            .to_owned(),
    }
}

fn value(active: bool) -> Value {
    if active { Value::Active } else { Value::Inactive }
}
