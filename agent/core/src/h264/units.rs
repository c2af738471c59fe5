//! NAL units: the pieces that an H.264 stream consists of.

/// What a NAL unit holds, as far as anybody here asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NalKind {
    Slice,
    /// A part of a slice, as only the extended profile has.
    Partition,
    /// A slice of a picture that refers to none before it, and after which none refers to what was
    /// before it.
    KeySlice,
    SequenceParameters,
    PictureParameters,
    Delimiter,
    Other,
}

impl NalKind {
    /// Reads it from the first byte.
    pub fn of(unit: &[u8]) -> Self {
        match unit.first().map(|header| header & 0x1f) {
            Some(1) => Self::Slice,
            Some(2..=4) => Self::Partition,
            Some(5) => Self::KeySlice,
            Some(7) => Self::SequenceParameters,
            Some(8) => Self::PictureParameters,
            Some(9) => Self::Delimiter,
            _ => Self::Other,
        }
    }
}

/// The NAL units of an access unit in Annex B form, without their start codes.
pub fn nal_units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(data);
    std::iter::from_fn(move || {
        loop {
            let current = rest?;
            let end = start_code(current).unwrap_or(current.len());
            rest = after_start_code(&current[end..]);
            // Zeros before a start code belong to it: a unit never ends with one.
            let length = current[..end].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            if length > 0 {
                return Some(&current[..length]);
            }
        }
    })
}

fn start_code(data: &[u8]) -> Option<usize> {
    data.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(data: &[u8]) -> Option<&[u8]> {
    start_code(data).map(|at| &data[at + 3..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_both_lengths_and_trailing_zeros_separate_units() {
        let data = [0, 0, 1, 0x41, 1, 0, 0, 0, 0, 1, 0x41, 2, 0, 0, 1, 0x41, 3, 0];
        let units: Vec<&[u8]> = nal_units(&data).collect();
        assert_eq!(units, [[0x41, 1], [0x41, 2], [0x41, 3]]);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
        assert_eq!(nal_units(&[0, 0, 1]).count(), 0);
    }
}
