//! Text files as any editor saves them: with or without a byte order mark, with line ends of any
//! system, with blank lines at the end. The file systems are their readers' part.

const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Why a file is not read as text. Each says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    #[error("it is saved as UTF-16; save it as UTF-8")]
    Utf16,
    #[error("line {line} is not UTF-8; save the file as UTF-8")]
    NotUtf8 { line: usize },
    #[error("line {line} holds a NUL character; write it anew with a text editor")]
    Nul { line: usize },
}

/// Reads the bytes of a text file: UTF-8, without its byte order mark, every line end `\n`.
pub fn decode(bytes: &[u8]) -> Result<String, NotText> {
    let line_of = |at: usize| bytes[..at].split(|byte| *byte == b'\n').count();
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(NotText::Utf16);
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        // Without a mark it is known by every second byte of its first letters.
        return Err(if at < 2 { NotText::Utf16 } else { NotText::Nul { line: line_of(at) } });
    }
    let text = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let text = std::str::from_utf8(text).map_err(|error| {
        let before_text = bytes.len() - text.len();
        NotText::NotUtf8 { line: line_of(before_text + error.valid_up_to()) }
    })?;
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// Reads a file that holds one secret or name and nothing else: without blanks around it.
pub fn decode_word(bytes: &[u8]) -> Result<String, NotText> {
    decode(bytes).map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn every_editors_line_ends_and_marks_are_read_alike() {
        for bytes in [
            "a = 1\nb = 2\n",
            "a = 1\r\nb = 2\r\n",
            "\u{feff}a = 1\rb = 2\r",
            "\u{feff}a = 1\r\nb = 2\n",
        ] {
            assert_eq!(decode(bytes.as_bytes()).unwrap(), "a = 1\nb = 2\n", "{bytes:?}");
        }
        assert_eq!(decode_word("\u{feff} secret \r\n\r\n".as_bytes()).unwrap(), "secret");
        assert_eq!(decode(b"").unwrap(), "");
    }

    #[test]
    fn what_is_no_utf_8_says_so_and_where() {
        for text in ["\u{feff}a = 1\n", "a = 1\n"] {
            assert_eq!(decode(&utf16(text, u16::to_le_bytes)), Err(NotText::Utf16));
            assert_eq!(decode(&utf16(text, u16::to_be_bytes)), Err(NotText::Utf16));
        }
        assert_eq!(decode(b"a\nb\n\xE4rger"), Err(NotText::NotUtf8 { line: 3 }));
        assert_eq!(decode(b"\xEF\xBB\xBFa\n\xFF"), Err(NotText::NotUtf8 { line: 2 }));
        assert_eq!(decode(b"ab\nc\0"), Err(NotText::Nul { line: 2 }));
    }
}
