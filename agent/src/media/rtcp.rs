//! RTCP (RFC 3550), as far as transport-wide feedback is to be found in it.

/// Feedback on the transport (RFC 4585), of the kind that tells of each packet.
const TRANSPORT_FEEDBACK: u8 = 205;
const TRANSPORT_WIDE: u8 = 15;

/// Header, and the names of who tells and of whom.
const FEEDBACK_HEADER: usize = 12;

/// The transport-wide feedback in a compound packet, and all else that is in it, which may be
/// nothing. `None` when there is no such feedback, or it is no compound packet.
pub(super) fn split(compound: &[u8]) -> Option<(Vec<&[u8]>, Vec<u8>)> {
    let (mut feedback, mut others, mut rest) = (Vec::new(), Vec::new(), compound);
    while let [first, kind, a, b, ..] = rest {
        let length = (usize::from(u16::from_be_bytes([*a, *b])) + 1) * 4;
        if first >> 6 != 2 {
            return None;
        }
        let (packet, after) = rest.split_at_checked(length)?;
        if *kind == TRANSPORT_FEEDBACK && first & 0x1F == TRANSPORT_WIDE {
            feedback.push(packet.get(FEEDBACK_HEADER..)?);
        } else {
            others.extend(packet);
        }
        rest = after;
    }
    (rest.is_empty() && !feedback.is_empty()).then_some((feedback, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: [u8; 8] = [0x80, 201, 0, 1, 1, 2, 3, 4];
    const FEEDBACK: [u8; 16] = [0x8F, 205, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9];
    const NACK: [u8; 16] = [0x81, 205, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9];

    #[test]
    fn feedback_is_taken_out_of_what_else_there_is() {
        assert_eq!(split(&FEEDBACK), Some((vec![&[9; 4][..]], Vec::new())));
        let compound = [&REPORT[..], &FEEDBACK, &NACK].concat();
        let rest = [&REPORT[..], &NACK].concat();
        assert_eq!(split(&compound), Some((vec![&[9; 4][..]], rest)));
    }

    #[test]
    fn what_has_none_or_is_cut_is_left_alone() {
        assert_eq!(split(&[]), None);
        assert_eq!(split(&[REPORT.as_slice(), &NACK].concat()), None);
        let compound = [&REPORT[..], &FEEDBACK].concat();
        for end in 0..compound.len() {
            assert_eq!(split(&compound[..end]), None, "{end}");
        }
        let too_short = [0x8F, 205, 0, 1, 1, 2, 3, 4];
        assert_eq!(split(&too_short), None);
        assert_eq!(split(&[0x16; 40]), None);
    }
}
