//! Reads what authenticators write in CBOR (RFC 8949), and no more of it: definite lengths in their
//! shortest form, small maps, little depth. Nothing is allocated for what a length claims.

/// Pairs of a map and items of an array: authenticators write five at most, and extensions few.
const ENTRIES_MAX: u64 = 16;
/// Values within values: the certificates of an attestation lie at the third level.
const DEPTH_MAX: u32 = 4;

/// Why bytes are no CBOR of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CborError {
    #[error("it ends in the middle of a value")]
    Cut,
    #[error("a length is not in its shortest form, or open-ended")]
    Length,
    #[error("a value is of another type than belongs there")]
    Type,
    #[error("a map or array has too many entries")]
    Entries,
    #[error("values lie too deep in each other")]
    Depth,
    #[error("a text is no UTF-8")]
    Utf8,
    #[error("a number is out of range")]
    Range,
}

type Result<T> = std::result::Result<T, CborError>;

/// The types of values, by the first three bits of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Major {
    Unsigned,
    Negative,
    Bytes,
    Text,
    Array,
    Map,
    Tag,
    Simple,
}

/// What a key's parameters are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain<'a> {
    Number(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
}

/// Reads values one after the other.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns what was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes so many bytes as they are.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CborError::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads the beginning of a map; its pairs follow.
    pub(super) fn map(&mut self) -> Result<u64> {
        match self.head()? {
            (Major::Map, pairs) if pairs <= ENTRIES_MAX => Ok(pairs),
            (Major::Map, _) => Err(CborError::Entries),
            _ => Err(CborError::Type),
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a str> {
        match self.plain()? {
            Plain::Text(text) => Ok(text),
            _ => Err(CborError::Type),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8]> {
        match self.plain()? {
            Plain::Bytes(bytes) => Ok(bytes),
            _ => Err(CborError::Type),
        }
    }

    pub(super) fn number(&mut self) -> Result<i64> {
        match self.plain()? {
            Plain::Number(number) => Ok(number),
            _ => Err(CborError::Type),
        }
    }

    /// Reads a value that holds no others.
    pub(super) fn plain(&mut self) -> Result<Plain<'a>> {
        let (major, argument) = self.head()?;
        match major {
            Major::Unsigned => number(argument).map(Plain::Number),
            // -1 - n, which no i64 misses when n is one.
            Major::Negative => number(argument).map(|number| Plain::Number(-1 - number)),
            Major::Bytes => self.take(length(argument)?).map(Plain::Bytes),
            Major::Text => {
                let bytes = self.take(length(argument)?)?;
                std::str::from_utf8(bytes).map(Plain::Text).map_err(|_| CborError::Utf8)
            }
            Major::Array | Major::Map | Major::Tag | Major::Simple => Err(CborError::Type),
        }
    }

    /// Reads over one value, whatever it is.
    pub(super) fn skip(&mut self) -> Result<()> {
        self.skip_at(0)
    }

    fn skip_at(&mut self, depth: u32) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(CborError::Depth);
        }
        let (major, argument) = self.head()?;
        let values = match major {
            Major::Unsigned | Major::Negative | Major::Simple => 0,
            Major::Bytes | Major::Text => {
                self.take(length(argument)?)?;
                0
            }
            Major::Array | Major::Map if argument > ENTRIES_MAX => return Err(CborError::Entries),
            Major::Array => argument,
            Major::Map => 2 * argument,
            Major::Tag => 1,
        };
        for _ in 0..values {
            self.skip_at(depth + 1)?;
        }
        Ok(())
    }

    /// Reads a value's type, and its number, its length, or how many others it holds.
    fn head(&mut self) -> Result<(Major, u64)> {
        let first = self.byte()?;
        let major = match first >> 5 {
            0 => Major::Unsigned,
            1 => Major::Negative,
            2 => Major::Bytes,
            3 => Major::Text,
            4 => Major::Array,
            5 => Major::Map,
            6 => Major::Tag,
            _ => Major::Simple,
        };
        let (argument, least) = match first & 0x1f {
            small @ 0..=23 => (u64::from(small), 0),
            24 => (u64::from(self.byte()?), 24),
            25 => (self.big_endian(2)?, 1 << 8),
            26 => (self.big_endian(4)?, 1 << 16),
            27 => (self.big_endian(8)?, 1 << 32),
            _ => return Err(CborError::Length),
        };
        // A floating-point number is no length.
        if major != Major::Simple && argument < least {
            return Err(CborError::Length);
        }
        Ok((major, argument))
    }

    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or(CborError::Cut)?;
        self.rest = rest;
        Ok(*first)
    }

    fn big_endian(&mut self, count: usize) -> Result<u64> {
        let bytes = self.take(count)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

fn number(argument: u64) -> Result<i64> {
    i64::try_from(argument).map_err(|_| CborError::Range)
}

fn length(argument: u64) -> Result<usize> {
    usize::try_from(argument).map_err(|_| CborError::Cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(bytes: &[u8]) -> Result<usize> {
        let mut reader = Reader::new(bytes);
        reader.skip()?;
        Ok(reader.rest().len())
    }

    #[test]
    fn plain_values_are_read_as_the_standard_says() {
        // Of RFC 8949, appendix A.
        let number = |bytes: &[u8]| Reader::new(bytes).number();
        assert_eq!(number(&[0x17]), Ok(23));
        assert_eq!(number(&[0x18, 0x18]), Ok(24));
        assert_eq!(number(&[0x19, 0x03, 0xe8]), Ok(1000));
        assert_eq!(number(&[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0]), Ok(1_000_000_000_000));
        assert_eq!(number(&[0x39, 0x03, 0xe7]), Ok(-1000));
        assert_eq!(Reader::new(&[0x64, 0x49, 0x45, 0x54, 0x46]).text(), Ok("IETF"));
        assert_eq!(Reader::new(&[0x44, 1, 2, 3, 4]).bytes(), Ok(&[1, 2, 3, 4][..]));
    }

    #[test]
    fn lengths_that_lie_allocate_nothing_and_are_refused() {
        let huge = [0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Reader::new(&huge).bytes(), Err(CborError::Cut));
        assert_eq!(skip(&huge), Err(CborError::Cut));
        for (major, refusal) in [(0x9b, CborError::Entries), (0xbb, CborError::Entries)] {
            let mut endless = [0xff; 9];
            endless[0] = major;
            assert_eq!(skip(&endless), Err(refusal));
        }
        for open_ended in [0x5f, 0x7f, 0x9f, 0xbf] {
            assert_eq!(skip(&[open_ended, 0xff]), Err(CborError::Length));
        }
        // One, written in two bytes.
        assert_eq!(skip(&[0x18, 0x01]), Err(CborError::Length));
        assert_eq!(Reader::new(&[0x3b, 0xff, 0, 0, 0, 0, 0, 0, 0]).number(), Err(CborError::Range));
        assert_eq!(Reader::new(&[0x62, 0xc3, 0x28]).text(), Err(CborError::Utf8));
        assert_eq!(skip(&[]), Err(CborError::Cut));
    }

    #[test]
    fn values_lie_only_so_deep_and_wide() {
        let deep = vec![0x81; 100_000];
        assert_eq!(skip(&deep), Err(CborError::Depth));
        assert_eq!(skip(&[0xc1; 100]), Err(CborError::Depth));
        // Sixteen arrays of sixteen, four levels down: bounded by the bytes, not by what they claim.
        assert_eq!(skip(&[0x90; 64]), Err(CborError::Depth));
        let mut fine = vec![0x81, 0x81, 0x81, 0x81, 0xf6];
        assert_eq!(skip(&fine), Ok(0));
        fine.push(0);
        assert_eq!(skip(&fine), Ok(1));
    }
}
