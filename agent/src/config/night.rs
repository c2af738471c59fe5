//! `[night]`: what takes the infrared filter away and lights the lamp.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NightConfig {
    pub mode: NightMode,
    /// Active: the filter is before the sensor, as by day.
    pub ir_cut: Option<SwitchConfig>,
    /// Active: the lamp burns.
    pub ir_lamp: Option<SwitchConfig>,
}

/// Who decides that it is night.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NightMode {
    /// The camera, by what it sees.
    #[default]
    Auto,
    Day,
    Night,
}

/// One thing that is switched: by a line of a GPIO chip, or by a control of the camera's driver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwitchConfig {
    /// The line's name, or its number on `chip`.
    pub line: Option<LineName>,
    pub chip: Option<PathBuf>,
    /// The line is low where others are high.
    pub active_low: bool,
    /// The driver's name for the control, as `v4l2-ctl --list-ctrls` shows it.
    pub control: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum LineName {
    Number(u32),
    Name(String),
}

impl NightConfig {
    /// Returns whether there is anything to switch.
    pub fn is_used(&self) -> bool {
        self.ir_cut.is_some() || self.ir_lamp.is_some()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, switch) in [("night.ir_cut", &self.ir_cut), ("night.ir_lamp", &self.ir_lamp)] {
            let Some(switch) = switch else { continue };
            let refused = |remedy: &str| Err(ConfigError::value(key, &"(see there)", remedy));
            match (&switch.line, &switch.control) {
                (Some(_), Some(_)) => return refused("choose line or control"),
                (None, None) => return refused("add line = \"GPIO17\", or control = \"NAME\""),
                (Some(LineName::Number(_)), None) if switch.chip.is_none() => {
                    return refused("a line's number needs chip = \"/dev/gpiochip0\"");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<NightConfig, ConfigError> {
        Config::parse(&format!("[night]\n{text}"), Path::new("agent.toml")).map(|it| it.night)
    }

    #[test]
    fn a_switch_is_a_line_by_name_or_number_or_a_control_of_the_driver() {
        let night = parse(
            "ir_cut = { line = \"GPIO17\" }\n\
             ir_lamp = { chip = \"/dev/gpiochip0\", line = 18, active_low = true }\n",
        );
        let night = night.unwrap();
        assert!(night.is_used() && night.mode == NightMode::Auto);
        assert_eq!(night.ir_cut.unwrap().line, Some(LineName::Name("GPIO17".to_owned())));
        assert_eq!(night.ir_lamp.unwrap().line, Some(LineName::Number(18)));
        assert!(parse("ir_cut = { control = \"IR-Cut Filter\" }\n").is_ok());
        assert!(!parse("mode = \"day\"\n").unwrap().is_used());
    }

    #[test]
    fn what_is_missing_of_a_switch_is_said() {
        for (text, remedy) in [
            ("ir_cut = {}", "add line"),
            ("ir_lamp = { line = 18 }", "chip ="),
            ("ir_lamp = { line = \"GPIO18\", control = \"lamp\" }", "line or control"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(remedy) && message.contains("night.ir_"), "{message}");
        }
    }
}
